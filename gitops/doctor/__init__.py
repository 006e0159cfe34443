"""Facts about a repository and its GitLab project come in; advice on what to change goes out."""
