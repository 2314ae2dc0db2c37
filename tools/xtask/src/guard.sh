# Waits for the end of the program that started it (its end closes the pipe), however it ends; then ends every process
# that carries the mark in its environment, grandchildren too, and removes the folder of sockets.
trap '' INT TERM HUP
while read -r _; do :; done
marked() { grep -lzxF "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
for signal in TERM KILL; do
    tries=0
    while pids=$(marked "$1"); [ -n "$pids" ] && [ "$tries" -lt 150 ]; do
        [ "$tries" -eq 0 ] && kill -"$signal" $pids 2>/dev/null
        sleep 0.1
        tries=$((tries + 1))
    done
done
[ -z "$2" ] || rm -rf -- "$2"
