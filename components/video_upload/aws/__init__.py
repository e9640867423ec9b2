"""Speaking to AWS without its SDK: signatures, credentials, kept connections."""
