"""`python -m aimm_plugins`, the same as `aimm-plugins`."""

from aimm_plugins.cli import main

if __name__ == "__main__":
    main()
