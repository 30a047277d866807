"""Who may see the page: passwords, sessions, proxies, checks of each request."""
