#!/bin/sh
# The team's chat, for `reveille worker`: shows each message. A message that wants no answer gets none.
sed 's/.*"text":"\([^"]*\)".*/\1/' >&2
