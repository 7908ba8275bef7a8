#!/bin/sh
# The greeter: a program for `reveille worker`. The task is its standard input, the result its standard output.
# Another exit code than 0 fails the task.
name=$(sed -n 's/.*"name" *: *"\([^"]*\)".*/\1/p')
if [ -z "$name" ]; then
  echo '{"error": "Greeter.NoName", "cause": "the input has no name"}'
  exit 1
fi
printf '{"text": "Hello, %s"}\n' "$name"
