"""The payment providers behind the port: one file for each."""
