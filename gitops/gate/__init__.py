"""Evidence and a policy come in; a verdict, with the finding of every rule, goes out."""
