"""The public functions: each calls one function of a stage for the process's current runtime."""
