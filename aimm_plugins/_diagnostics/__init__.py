"""What operators ask about plugins: what there is, why, what is wrong, what changed, what it costs.

In comes a conf; out goes an `Inventory`, and what is read from it. No plugin is imported unless the
caller asks for that.
"""
