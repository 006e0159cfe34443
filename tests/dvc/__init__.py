"""The DVC adapter on real DVC, in folders and over HTTP."""
