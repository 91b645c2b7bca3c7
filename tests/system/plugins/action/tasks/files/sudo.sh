#!/bin/sh
# Stand-in for sudo: runs the last argument.
for last; do :; done
exec /bin/sh -c "$last"
