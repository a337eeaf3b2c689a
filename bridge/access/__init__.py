"""Authentication: users by password, programs and devices by API key or secret, and tokens of an identity provider.

`AuthService` joins it all and implements `ports.Authentication`.
"""
