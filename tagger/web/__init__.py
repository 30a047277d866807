"""The web page: drop a picture and see what is in it, and look through the library.

``server`` listens, ``app`` puts the routes together behind ``security``, ``api`` and ``pages``
answer, and what they need comes through :class:`~tagger.web.services.Services`.
"""
