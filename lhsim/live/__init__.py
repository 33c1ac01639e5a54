"""The bridge: a real server of the kind that lhsim models, and a client for it.

It needs the libraries of the extra ``lhsim[live]``; `lhsim.live.settings` and `lhsim.live.alerts`
do not.
"""
