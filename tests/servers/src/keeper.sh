# Keeps one server and its folder for a test process, and outlives that process just long enough to end
# the one and remove the other, however the test ended.
#
# Arguments: the folder, and the signal that ends the server for good. Orders are lines on the standard
# input, each answered by one line on the standard output; the end of the input is the last order.

folder=$1
last_signal=$2
server=
last_words=:
cd "$folder" || exit 1

state_is() { # process, states as letters
  grep -q "^State:[[:space:]]*[$2]" "/proc/$1/status" 2>/dev/null
}

gone() { # process
  [ ! -e "/proc/$1" ] || state_is "$1" ZX
}

wait_for() { # what is polled, for a minute at most
  polls=0
  until "$@"; do
    polls=$((polls + 1))
    [ "$polls" -lt 6000 ] || return 1
    sleep 0.01
  done
}

kill_all_of_it() {
  # A stopped parent neither forks nor reaps, so the processes found are its children until it is killed.
  kill -STOP "$server" 2>/dev/null
  wait_for state_is "$server" TZX
  children=$(grep -l "^PPid:[[:space:]]*$server\$" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3)
  for process in $children "$server"; do
    kill -KILL "$process" 2>/dev/null
  done
  for process in $children; do
    wait_for gone "$process"
  done
}

end() { # signal
  [ -n "$server" ] || return 0
  if [ "$1" != KILL ]; then
    kill -"$1" "$server" 2>/dev/null
    wait_for gone "$server" || set -- KILL
  fi
  [ "$1" != KILL ] || kill_all_of_it
  # Until it is waited for here, its id cannot be given to another process.
  wait "$server" 2>/dev/null
  server=
}

while read -r order words; do
  case $order in
    run)
      eval "$words" </dev/null >>log 2>&1
      echo "$?"
      ;;
    start)
      eval "exec $words" </dev/null >>log 2>&1 &
      server=$!
      echo "$server"
      ;;
    end)
      end "$words"
      echo ended
      ;;
    last)
      last_words=$words
      echo noted
      ;;
  esac
done

end "$last_signal"
eval "$last_words" </dev/null >>log 2>&1
cd / && rm -rf "$folder"
