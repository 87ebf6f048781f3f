#!/bin/sh
printf 'before\0\001\002 \377\376 half \303 caf\303\251 \033[31mred\033[0m\r\n'
printf 'no newline at the end \355\240\200'
printf '\200\201 on stderr\n' >&2
exit 4
