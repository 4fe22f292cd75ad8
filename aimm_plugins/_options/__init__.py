"""From a conf's `options` and plugins' schemas to what each is given; no secret is shown."""
