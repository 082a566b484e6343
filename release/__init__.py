"""Makes a release: `make release VERSION=X.Y.Z`. Without PUSH=true nothing leaves this machine."""
