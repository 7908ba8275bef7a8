#!/bin/sh
# Makes thumbnails, for `reveille worker`: reads the task, writes the result. jq would do better than sed.
task=$(cat)
picture=$(printf %s "$task" | sed 's/.*"picture":"\([^"]*\)".*/\1/')
width=$(printf %s "$task" | sed 's/.*"width":\([0-9]*\).*/\1/')
case $picture in
  blurred*) echo '{"error": "Picture.Damaged", "cause": "no end of image"}'; exit 1 ;;
esac
printf '{"thumbnail": "%s.%s.jpg"}\n' "${picture%.jpg}" "$width" # convert "$picture" -resize "$width" …
