"""The Greengrass IPC server of the local core, a process of its own.

Speaks the event-stream RPC protocol on a Unix socket to an unmodified `awsiotsdk` client, with the operations that
nucleus lite has. What it must know of components (tokens, policies, configuration) it asks a `Backend`.
"""
