"""Who comes in: people by password, programs and devices by key or secret, and those whom an identity provider vouches for.

`AuthService` is the whole of it, behind `ports.Access`.
"""
