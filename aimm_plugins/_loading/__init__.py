"""From a plan to imported modules: the only stage that runs plugin code at start-up.

Nothing is registered here, and no lock of ours is held during an import. So a failure leaves
nothing to undo but what the failed modules declared, and calls and other threads go on.
"""
