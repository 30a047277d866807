"""An HTTP server whose clients need not be friends: each costs little, and none can stay for long.

It is waitress, one thread of which reads and writes for all connections, so that slow ones hold up
nobody, with the bounds that it leaves out. One request of a connection is parsed at a time, and
the next not before the answer is sent. Every phase of a connection ends by a time, which bytes
that come at a fair rate put off. Where there are as many connections as may be, a new one takes
the place of the one whose time is up first, of the network that has the most. A large body is read
only when the application has given leave, by what the head of the request says.
"""
