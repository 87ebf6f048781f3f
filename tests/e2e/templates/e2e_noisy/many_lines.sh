#!/bin/sh
i=0
while [ $i -lt 100000 ]; do i=$((i + 1)); echo "line $i of a job that talks much"; done
