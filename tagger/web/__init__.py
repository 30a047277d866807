"""The web page: drop a picture and see what is in it, and look through the library.

``server`` listens, alone or (``beside``) in the daemon; ``app`` puts the routes together behind
``proxies``, ``security`` and ``login``; ``api`` and ``pages`` answer, and what they need comes
through :class:`~tagger.web.services.Services`.
"""
