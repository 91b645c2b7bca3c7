#!/bin/sh
printf "%s|" "$@"
echo complaint >&2
