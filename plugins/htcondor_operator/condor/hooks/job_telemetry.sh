#!/bin/sh
# Starter hook for UPDATE_JOB_INFO and JOB_EXIT: sends a few numbers of the job as one line of JSON
# through "condor_chirp ulog". They arrive as event 008 in the job's log and in the event log, over
# HTCondor's own channel: execute machines need no credentials of ours.
#
# The job's ad comes on stdin. JOB_EXIT calls with the reason as argument (exit, remove, hold,
# evict); UPDATE_JOB_INFO calls without. Needs sh, awk and timeout; the job needs
# want_io_proxy = true. A hook must never harm a job: two seconds, and always exit code 0.

if [ -z "$OWL_STARTER" ]; then
    # Before the job starts, and without want_io_proxy, there is nobody to write to.
    # (25.x keeps the proxy's address in a folder beside the scratch folder.)
    proxy=
    for path in "${_CONDOR_SCRATCH_DIR:-.}"/.chirp.config \
        "${_CONDOR_SCRATCH_DIR:-.}"/../*/.chirp.config; do
        [ -e "$path" ] && proxy=$path
    done
    [ -n "$proxy" ] || exit 0
    OWL_STARTER=$PPID timeout -k 1 2 /bin/sh "$0" "$@" >/dev/null 2>&1
    exit 0
fi

find_chirp() {
    # The release that condor_starter is from holds the condor_chirp that fits.
    release=$(dirname "$(dirname "$(readlink "/proc/$OWL_STARTER/exe")")")
    for path in "$release/libexec/condor/condor_chirp" "$release/libexec/condor_chirp" \
        /usr/libexec/condor/condor_chirp /usr/lib/condor/libexec/condor_chirp; do
        [ -x "$path" ] && echo "$path" && return
    done
    command -v condor_chirp
}

words=$(awk -v hook="${1:-update}" '
    BEGIN {
        FS = " = "
        name["JobPid"] = "pid"; name["NumPids"] = "pids"
        name["RemoteUserCpu"] = "cpu_user_s"; name["RemoteSysCpu"] = "cpu_system_s"
        name["ImageSize"] = "image_kb"; name["ResidentSetSize"] = "resident_kb"
        name["DiskUsage"] = "disk_kb"; name["ExitCode"] = "exit_code"
        name["ExitSignal"] = "exit_signal"; name["JobDuration"] = "duration_s"
    }
    # Only plain numbers are passed on: no text of a job can break the JSON.
    ($1 in name) && $2 ~ /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$/ { value[name[$1]] = $2 }
    END {
        gsub(/[^a-z]/, "", hook)
        line = "{\"owl\": \"" hook "\""
        for (key in value) line = line ", \"" key "\": " value[key]
        print line "}"
    }')

chirp=$(find_chirp)
[ -n "$chirp" ] && exec "$chirp" ulog "$words"
