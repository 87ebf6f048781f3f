#!/bin/sh
# One step of a rescue drill: step.sh CONTROL DATASET NODE SLEEP
#
# In the folder CONTROL, read while the job runs:
#   DATASET.NODE.wait   the job waits until the file is gone
#   DATASET.NODE.fail   the job fails; the file's first word is the exit code (1 when empty),
#                       "once" as its second takes the file away
#   DATASET.ran         every start and end is written here, one line each
# Whoever removes the .fail file has mended the cause: the next try succeeds.
set -u
control=$1 dataset=$2 node=$3 pause=$4
mkdir -p "$control" || exit 70
ran="$control/$dataset.ran"
trap 'echo "$node killed" >>"$ran"; exit 143' TERM

echo "$node start" >>"$ran"
echo "drill: $node of $dataset on $(uname -n)"
while [ -e "$control/$dataset.$node.wait" ]; do sleep 0.1; done
sleep "$pause"
if [ -e "$control/$dataset.$node.fail" ]; then
    code= times=
    read -r code times _ <"$control/$dataset.$node.fail" || :
    echo "drill: $node was told to fail by $control/$dataset.$node.fail" >&2
    echo "$node failed" >>"$ran"
    [ "$times" != once ] || rm "$control/$dataset.$node.fail"
    exit "${code:-1}"
fi
echo "$node done" >>"$ran"
