#!/bin/bash
# In domain 0: swaps a server of a domain again and again at its console, while clients use its web server: eight that keep their
# connections, one that fetches a large file, and one that sends half of a request before each swap and half after it.
# Arguments: the domain, the server, how many swaps, the address, the sum of /files/noise.bin (empty: do not fetch it), and
# the images in turn (none: the same one). It prints a line for whatever went wrong, what ab says, how the slow and the large
# client fared, and the supervisor's words about each swap.
domain=$1 server=$2 count=$3 address=$4 sum=$5
shift 5
log=/var/log/xen/console/guest-$domain.log
tty=$(xenstore-read "/local/domain/$(xl domid "$domain")/console/tty") || exit
work=$(mktemp -d)
told() { grep -a -c "$server is swapped to" "$log"; }

large() {
  while [ ! -e "$work/stop" ]; do
    got=$(curl -sS -m 50 "http://$address/files/noise.bin" 2>>"$work/curl" | sha256sum)
    [ "${got%% *}" = "$sum" ] && echo good || echo "broken ${got%% *}"
  done
}

first=$(told)
ab -k -l -r -q -c 8 -n 60000 "http://$address/" >"$work/ab" 2>&1 &
ab=$!
[ -z "$sum" ] || large >"$work/large" &
sleep 0.5
slow=0
for ((number = 0; number < count; number++)); do
  before=$(told)
  exec 3<>"/dev/tcp/$address/80" || echo "the slow client got no connection"
  printf 'GET /status.json HTTP/1.1\r\nHo' >&3
  printf 'swap %s %s\n' "$server" "$1" >"$tty"
  [ $# -lt 2 ] || set -- "${@:2}" "$1"
  for ((tries = 0; tries < 200; tries++)); do
    [ "$(told)" -gt "$before" ] && break
    sleep 0.03
  done
  [ $tries -lt 200 ] || { echo "swap $number is not told"; tail -n 5 "$log"; break; }
  printf 'st: x\r\nConnection: close\r\n\r\n' >&3
  timeout 20 cat <&3 >"$work/slow"
  exec 3>&-
  if head -n 1 "$work/slow" | grep -q ' 200 ' && grep -q '"servers":' "$work/slow"; then
    slow=$((slow + 1))
  else
    echo "the slow client got $(head -c 200 "$work/slow")"
  fi
done
touch "$work/stop"
kill -INT $ab
wait
cat "$work/ab"
[ ! -s "$work/curl" ] || cat "$work/curl"
echo "slow $slow"
[ -z "$sum" ] || { echo "large $(grep -c good "$work/large")"; grep broken "$work/large"; }
grep -a "$server is swapped to" "$log" | tail -n +$((first + 1))
rm -r "$work"
