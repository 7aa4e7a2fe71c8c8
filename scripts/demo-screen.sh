# What the demo puts on the screen, and where its programs are. Sourced by demo-real.sh and demo-simulated.sh.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/.venv/bin:$PATH"

bold=$(tput bold 2>/dev/null || true) plain=$(tput sgr0 2>/dev/null || true)
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { # the command as it can be typed, then its output
    local word text=""
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=,@%+-]* | "") word="'${word//\'/\'\\\'\'}'" ;; esac
        text+=" $word"
    done
    printf '%s$%s%s\n' "$bold" "$text" "$plain"
    "$@"
}
