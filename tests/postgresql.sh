# For scripts that need a PostgreSQL server of their own: installs what is missing,
# starts the server, and stops everything at the end. To be sourced by bash, from the
# root of the repository; needs
#
#     set -euo pipefail
#     set -m                  background jobs get a process group each: stopping one
#                             stops all that it started
#     script                  the file name of the script
#     postgresql_settings     an array with the options of the server
#     missing_packages        a function that prints the Debian packages to install
#
# shellcheck shell=bash disable=SC2154

readonly oldest_postgresql=14
readonly seconds_to_start=60

say() {
    echo "$script: $*" >&2
}

fail() {
    say "$@"
    exit 1
}

# Prints the comment at the head of the script.
print_help() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$script"
}

install_missing_packages() {
    local packages may_install=()
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]})) || return 0
    if ((EUID != 0)); then
        may_install=(sudo -n)
    fi
    if ! type -P apt-get >/dev/null || ! "${may_install[@]}" true 2>/dev/null; then
        fail "install first what is missing (names of Debian packages): ${packages[*]}"
    fi
    say "installing ${packages[*]}"
    # The quoted program runs as root. Debian makes and starts a server when
    # PostgreSQL is installed, unless told not to; these scripts want none of it.
    # shellcheck disable=SC2016
    "${may_install[@]}" env DEBIAN_FRONTEND=noninteractive bash -euc '
        no_cluster=/etc/postgresql-common/createcluster.d/clientele-tests.conf
        trap "rm -f $no_cluster" EXIT
        mkdir -p "${no_cluster%/*}"
        echo "create_main_cluster = false" >"$no_cluster"
        wait_for_lock=(-o DPkg::Lock::Timeout=300)
        apt-get "${wait_for_lock[@]}" -qq update || true
        apt-get "${wait_for_lock[@]}" -qq -y --no-install-recommends install "$@"
    ' bash "${packages[@]}" </dev/null >/dev/null || fail "cannot install ${packages[*]}"
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]})); then
        fail "still missing or too old after installing: ${packages[*]}"
    fi
}

# Prints the folder of the newest PostgreSQL server programs that will do.
postgresql_programs() {
    local initdb newest=0 folder=
    for initdb in /usr/lib/postgresql/*/bin/initdb "$(type -P initdb)"; do
        if [[ -x $initdb ]] && (($(major_version "$initdb") > newest)); then
            newest=$(major_version "$initdb")
            folder=$(dirname "$initdb")
        fi
    done
    if ((newest >= oldest_postgresql)); then
        echo "$folder"
    fi
}

major_version() {
    "$1" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
}

# Starts PostgreSQL, as the process $server, on $port of 127.0.0.1, with the user
# 'postgres' and no password. $programs is the folder of its programs, $folder is for
# the server's data and for what else is to be gone at the end.
start_postgresql() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    programs=$(postgresql_programs)
    folder=$(mktemp -d "${TMPDIR:-/tmp}/clientele-tests.XXXXXX")
    run_server_program=(env --chdir="$folder")
    # PostgreSQL refuses to run as root.
    if ((EUID == 0)); then
        id postgres >/dev/null || fail "there is no user 'postgres' to run PostgreSQL as"
        run_server_program+=(setpriv --reuid=postgres --regid=postgres --init-groups)
        chown postgres "$folder"
    fi
    # Settings meant for other servers.
    unset "${!PG@}"

    local version locale=(--locale=C.UTF-8)
    version=$(major_version "$programs/initdb")
    # As on most servers in use, texts do not sort by their bytes: a column that
    # has to must say so in its definition.
    if ((version >= 15)); then
        locale+=(--locale-provider=icu --icu-locale=en-US)
    fi
    "${run_server_program[@]}" "$programs/initdb" --pgdata=data --username=postgres \
        --auth=trust --encoding=UTF8 "${locale[@]}" --no-sync </dev/null >"$folder/log" 2>&1 ||
        fail "cannot make a PostgreSQL cluster:"$'\n'"$(<"$folder/log")"

    # No program tells a free port; take one, and another if it was not.
    local attempt
    for attempt in {1..10}; do
        port=$((20000 + RANDOM % 12000))
        if server_answers; then
            say "PostgreSQL $version listens on port $port"
            return
        fi
        [[ $(<"$folder/log") == *"could not bind"* ]] || break
    done
    fail "PostgreSQL did not start (attempt $attempt):"$'\n'"$(<"$folder/log")"
}

# Starts the server on $port. Fails if it ends, or does not answer in time.
server_answers() {
    "${run_server_program[@]}" "$programs/postgres" -D data -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories="$folder" \
        "${postgresql_settings[@]}" </dev/null >"$folder/log" 2>&1 &
    server=$!
    local deadline=$((SECONDS + seconds_to_start))
    until "$programs/pg_isready" --quiet --host="$folder" --port="$port"; do
        if ! kill -0 "$server" 2>/dev/null || ((SECONDS > deadline)); then
            stop "$server" QUIT
            return 1
        fi
        sleep 0.1
    done
}

# Runs a program whose temporary files go with the folder.
run() {
    mkdir -p "$folder/tmp"
    # In the background, because only `wait` lets the traps act at once.
    TMPDIR=$folder/tmp "$@" </dev/null &
    job=$!
    wait "$job"
}

clean_up() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    [[ -z ${job-} ]] || stop "$job" TERM
    # PostgreSQL takes SIGQUIT for "end at once, save nothing".
    [[ -z ${server-} ]] || stop "$server" QUIT
    [[ -z ${folder-} ]] || rm -rf "$folder"
    exit "$status"
}

# Ends a background job, with all that it started and that still runs, by a
# signal, or by force when that takes too long.
stop() {
    local group=-$1 signal=$2 deadline=$((SECONDS + 10))
    kill -s "$signal" -- "$group" 2>/dev/null || return 0
    while kill -0 -- "$group" 2>/dev/null; do
        if ((SECONDS > deadline)); then
            kill -KILL -- "$group" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$1" 2>/dev/null || true
}
