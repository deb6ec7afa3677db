"""A payment provider to try things with: a process and tables of its own, scripted cards, signed webhooks.

It stands for somebody else's system: LiveDrop reaches it over HTTP only, and it knows of LiveDrop only the address
that its webhooks go to.
"""
