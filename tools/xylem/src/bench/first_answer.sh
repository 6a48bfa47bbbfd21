#!/bin/bash
# In domain 0: creates a domain that is written down, and tells when it answers. Arguments: the command that starts it, its
# address, that of its device, the page of its status, the log of its console, a line of that to wait for (none if empty).
# It prints: the times of `xl create` begun, returned, first answer to a ping, first answer of the page, answer of the
# status; the line of the console; and the status.
start=$1 address=$2 mac=$3 page=$4 log=$5 ready=$6
fail() {
  echo "$*"
  tail -n 15 "$log"
  exit 1
}
lines() { if [ -n "$ready" ]; then grep -ac "$ready" "$log" 2>/dev/null; fi; }
get() {
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$address" >&3
  IFS= read -r -t 10 -u 3 line && now=$EPOCHREALTIME && [[ $line == HTTP/1.?' 200'* ]]
}

# The address is known to domain 0 beforehand: its own search for one asks once a second only.
ip neigh replace "$address" lladdr "$mac" dev xenbr0 nud permanent || exit
exec 9<> <(:)
before=$(lines)
begun=$EPOCHREALTIME
$start >/run/xylem-create.log 2>&1 || fail "$(cat /run/xylem-create.log)"
created=$EPOCHREALTIME
ping -q -n -i 0.01 -c 1 -w 60 "$address" >/dev/null || fail "$address did not answer a ping within 60 s"
pinged=$EPOCHREALTIME
until { get / && answered=$now; } 3<>"/dev/tcp/$address/80"; do
  [ ${EPOCHREALTIME%.*} -lt $((${created%.*} + 60)) ] || fail "$address did not serve / within 60 s"
  read -t 0.005 -u 9
done 2>/dev/null
{ get "$page" && status=$now && text=$(cat <&3); } 3<>"/dev/tcp/$address/80" || fail "no $page: $line"
tries=0
until [ "$(lines)" != "$before" ] || [ -z "$ready" ] || [ $((tries += 1)) = 50 ]; do sleep 0.1; done
echo "$begun $created $pinged $answered $status"
if [ -n "$ready" ]; then grep -a "$ready" "$log" | tail -n 1; else echo; fi
printf '%s\n' "$text" | tail -n 1
