#!/bin/sh
# Run where images are scanned, most often by a CI job: uploads a scan report to the Cattery control plane that served
# this script, prints the verdict, and ends with it. `sh scan-report.sh --help`; docs/image-scans.md.
#
# POSIX sh with curl. All of it is functions until the last line, so that a download that was cut off uploads nothing,
# and ends with 4. The API key is in a variable and a pipe: never in a file, in an argument of a program, or printed.

set -euf +ax # not -x: it would show the key
umask 077
LC_ALL=C # bytes are bytes
export LC_ALL
unset key # of the environment: it would be passed on to every program
ended='' work=''
# A program that breaks off, or a download that did, must not pass for a verdict: 1 and 2 are taken, and 0.
trap '[ -z "$work" ] || rm -rf "$work"; [ -n "$ended" ] || exit 4' EXIT

api_url='@CATTERY_API_URL@'

help() {
  cat <<HELP
Uploads a scan report to $api_url and prints the verdict on its image, or on each of its images.

  trivy image --format json IMAGE | sh scan-report.sh [options]
  sh scan-report.sh [options] REPORT.json

  --image REFERENCE     the image's name, where the report has none or another
  --digest sha256:...   its digest, where the report has none
  --api-key-file FILE   an API key (cak_...) with scope scans:write; or in the variable CATTERY_API_KEY
  --warn-as-fail        the verdict warn ends with 2, not with 0
  --format table|json   for people, or the control plane's answer as it is     (default: table)
  --ca-file FILE        what verifies $api_url, PEM
  --help

Exit: 0 pass (or warn), 1 fail, 2 warn with --warn-as-fail, 3 unknown: no image fails, but of one nothing is known;
4 there is no verdict: wrong usage, no answer, or the report was refused. Of several images the worst verdict counts.
It may be run again: the same report is the same scan. A report of more than 4 MB, up to 64, goes to the control plane's
storage first, and the verdict is waited for. curl obeys HTTPS_PROXY and NO_PROXY.
HELP
}

# What reports and servers say commands neither this terminal nor the CI system that reads it ("##[", "##vso[").
printable() { tr -d '\000-\010\013-\037\177' | sed 's/##*/#/g'; }
die() { # SENTENCE [REMEDY]
  printf 'scan-report.sh: %s\n' "$1${2:+
  remedy: $2}" | printable >&2
  end 4
}
end() { # EXIT
  ended=1
  exit "$1"
}

options() {
  key=${CATTERY_API_KEY-} key_file='' image='' digest='' ca_file='' format=table strict='' file=''
  unset CATTERY_API_KEY
  while [ $# -gt 0 ]; do
    option=$1 value=''
    shift
    case $option in
    --image=* | --digest=* | --api-key-file=* | --format=* | --ca-file=*) value=${option#*=} option=${option%%=*} ;;
    --image | --digest | --api-key-file | --format | --ca-file)
      value=${1-}
      [ $# = 0 ] || shift
      ;;
    esac
    # Most often a variable that the CI job has not set.
    case $option=$value in --image= | --digest= | --api-key-file= | --format= | --ca-file= | --*=--*)
      die "$option needs a value" 'sh scan-report.sh --help' ;;
    esac
    case $option in
    --image) image=$value ;;
    --digest) digest=$value ;;
    --api-key-file) key_file=$value ;;
    --format) format=$value ;;
    --ca-file) ca_file=$value ;;
    --warn-as-fail) strict=1 ;;
    --help | -h) help && end 0 ;;
    -?*) die "unknown option: $option" 'sh scan-report.sh --help' ;;
    *)
      [ -z "$file" ] || die 'one report at a time' 'sh scan-report.sh --help'
      file=$option
      ;;
    esac
  done
  case $api_url in @*) die 'this script works as its control plane serves it: download it from .../scan-report.sh there' ;; esac
  case $format in table | json) ;; *) die '--format is table or json' ;; esac
  case $image in *[!A-Za-z0-9._:/@-]*) die '--image is a reference, as registry.example/shop/web:1' ;; esac
  case $digest in *[!a-z0-9:]*) die '--digest is sha256: and 64 hex digits' ;; esac
  [ -z "$ca_file" ] || [ -r "$ca_file" ] || die "--ca-file: $ca_file cannot be read"
  if [ -n "$key_file" ]; then
    [ -r "$key_file" ] || die "--api-key-file: $key_file cannot be read"
    key=$(tr -d ' \r\n' <"$key_file")
  fi
  # Line ends and quotation marks would say more to curl than a header.
  case $key in
  '') die 'there is no API key' 'Set CATTERY_API_KEY, or give --api-key-file FILE.' ;;
  *[!A-Za-z0-9._~+/=-]*) die 'the API key has characters that none has' ;;
  esac
}

# Sets $file to a regular file: curl reads the key where a report could come from, and may have to read the report twice.
take_report() {
  case ${file:=-} in
  -)
    [ ! -t 0 ] || die 'there is no report: name its file, or pipe it in' 'sh scan-report.sh --help'
    cat >"$work/report"
    file=$work/report
    ;;
  *)
    [ -r "$file" ] && [ ! -d "$file" ] || die "$file cannot be read"
    if [ ! -f "$file" ]; then # <(trivy ...)
      cat "$file" >"$work/report"
      file=$work/report
    fi
    ;;
  esac
  [ -s "$file" ] || die 'the report is empty' 'Look at what the scanner says: it has written none.'
}

# quiet_curl SECONDS [ARGUMENT...]: curl's configuration is read from standard input, the answer goes to a file. What is
# sent may be sent again. Not -L: a credential is for its host alone. -q: without the user's .curlrc.
quiet_curl() {
  : >"$work/answer"
  seconds=$1
  shift
  curl -q --config - --globoff --silent --show-error --connect-timeout 10 --max-time "$seconds" --retry 2 --retry-max-time 60 \
    --output "$work/answer" --write-out '%{http_code}' "$@" 2>"$work/curl"
}
# request ARGUMENT...: sets $status.
request() {
  status=$(printf 'header = "Authorization: Bearer %s"\n' "$key" |
    quiet_curl 120 --header 'Content-Type: application/json' ${ca_file:+--cacert "$ca_file"} "$@") ||
    die "$api_url does not answer: $(head -n 1 "$work/curl")" 'Egress, HTTPS_PROXY, and with a CA of your own --ca-file.'
}

upload=''
send_report() {
  if [ "$(wc -c <"$file")" -le 4194304 ]; then
    query="${image:+&image=$image}${digest:+&digest=$digest}"
    encoding=''
    [ "$(od -An -tx1 -N2 "$file" | tr -d ' \n')" != 1f8b ] || encoding=gzip
    request ${encoding:+--header "Content-Encoding: $encoding"} --data-binary "@$file" \
      "$api_url/v1/scans${query:+?${query#?}}"
    # Decompressed it may be larger, or have more findings than a request may.
    [ "$status" = 413 ] || return 0
  fi
  send_large_report
}

# Reports of more than 4 MB: to the control plane's storage, which takes these bytes and no others. Leaves the answer that
# a small one would have got.
send_large_report() {
  sum=$({ sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } <"$file" 2>/dev/null | cut -c1-64)
  case $sum in '' | *[!0-9a-f]*) die 'a report of more than 4 MB needs sha256sum, shasum or openssl' ;; esac
  request --data-binary "{\"contentLength\":$(($(wc -c <"$file"))),\"sha256\":\"$sum\"${image:+,\"image\":\"$image\"}${digest:+,\"digest\":\"$digest\"}}" \
    "$api_url/v1/scan-uploads"
  [ "$status" = 201 ] || return 0
  read_answer "$place" >"$work/place"
  upload=$(sed -n 's/^# //p' "$work/place")
  [ -n "$upload" ] || die "$api_url has answered something else than where to put the report"
  # Without --ca-file: that is the control plane's, and storage may be another host.
  status=$(quiet_curl 900 --upload-file "$file" <"$work/place") || die "the control plane's storage does not answer: $(head -n 1 "$work/curl")" 'Egress, HTTPS_PROXY.'
  [ "$status" = 200 ] || die "the control plane's storage has not taken the report: HTTP $status $(sed -n 's/.*<Code>\([A-Za-z]*\)<.*/\1/p' "$work/answer")"
  give_up=$(($(date +%s) + 900))
  while :; do
    request "$api_url/v1/scan-uploads/$upload?wait=20"
    [ "$status" = 200 ] || return 0
    case $(read_answer 'END { print member["state"] }') in
    waiting | processing) ;;
    done) status=201 && break ;;
    *) break ;;
    esac
    [ "$(date +%s)" -lt $give_up ] || die "there is no verdict yet" "Later: GET $api_url/v1/scan-uploads/$upload"
    sleep 2
  done
  sed 's/^{"uploadId":"[^"]*","state":"[^"]*","createdAt":"[^"]*","[a-z]*"://; s/}$//' "$work/answer" >"$work/outcome"
  mv "$work/outcome" "$work/answer"
}

# read_answer ACTION: awk with member["items.0.verdict"], each string, number and word of the answer by its place. It is
# cut at the quotation marks, so that every byte is looked at once, however much there is. Controls are kept away later.
read_answer() {
  awk -v status="${status-}" -v upload="$upload" '
    BEGIN { RS = "\"" }
    function put() { if (given) member[before[depth] here[depth]] = last; given = 0; last = "" }
    quoted {
      text = text $0
      if (match($0, /\\+$/) && RLENGTH % 2) { text = text "\""; next }
      gsub(/\\u[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]/, "?", text)
      gsub(/\\[nrtbf]/, " ", text); gsub(/\\/, "", text)
      last = text; text = ""; given = 1; quoted = 0; next
    }
    {
      size = length($0); quoted = 1
      for (at = 1; at <= size; at++) {
        c = substr($0, at, 1)
        if (c == "{" || c == "[") { depth++; before[depth] = depth > 1 ? before[depth - 1] here[depth - 1] "." : ""; here[depth] = 0 }
        else if (c == ":") { here[depth] = last; given = 0; last = "" }
        else if (c == ",") { put(); here[depth]++ }
        else if (c == "}" || c == "]") { put(); if (depth > 0) depth-- }
        else if (c !~ /[ \t\r\n]/) { last = last c; given = 1 }
      }
    }
    '"$1" "$work/answer"
}

# The table; its last line is the worst verdict. Lines begin with words of the control plane, never with a report's.
# shellcheck disable=SC2016 # of awk
table='
  function finding(k,  fix, n) {
    fix = member[k "fix.state"]
    for (n = 0; fix == "fixed" && n < 3 && (k "fix.versions." n) in member; n++) fixes = (n ? fixes ", " : "") member[k "fix.versions." n]
    line(member[k "severity"], member[k "score"], member[k "vulnerability"], member[k "package"] " " member[k "version"], n ? fixes : fix)
  }
  function reason(rule, total, threshold) {
    if (rule == "scan-age") return rule ": the scan is older than " threshold " days"
    if (rule ~ /^severity-/) return rule ": " total " of severity " threshold " or worse"
    if (rule ~ /^epss-/) return rule ": " total " with a probability of exploitation of " threshold " or more"
    if (rule ~ /^known-exploited-/) return rule ": " total " that are known to be exploited"
    if (rule == "grace") return rule ": " total " would fail, and have been known for less than " threshold " days"
    return rule ": " total " with a score of " threshold " or more"
  }
  function line(severity, score, vulnerability, package, fix) { printf "  %-10s  %-5s  %-20s  %-40s  %s\n", severity, score, vulnerability, package, fix }
  function image(p,  r, n, k, word) {
    word = (member[p "verdict"] in rank) ? member[p "verdict"] : "unknown"
    if (rank[word] > rank[worst]) worst = word
    printf "%s  %s\n ", word, member[p "digest"]
    for (n = 1; n in severities; n++) printf " %d %s,", member[p "counts." severities[n]], severities[n]
    printf " %d suppressed\n", member[p "suppressed.total"]
    for (r = 0; (p "reasons." r ".rule") in member; r++) {
      k = p "reasons." r "."
      printf "  %s\n", reason(member[k "rule"], member[k "total"], member[k "threshold"])
      if (member[k "total"] == 0) continue
      line("SEVERITY", "SCORE", "VULNERABILITY", "PACKAGE", "FIX")
      for (n = 0; (k "findings." n ".vulnerability") in member; n++) finding(k "findings." n ".")
      if (member[k "total"] > n) printf "  and %d more\n", member[k "total"] - n
    }
  }
  END {
    split("critical high medium low negligible unknown", severities, " ")
    rank["none"] = 0; rank["pass"] = 1; rank["warn"] = 2; rank["unknown"] = 3; rank["fail"] = 4; worst = "none"
    if ("verdict" in member) image("")
    for (i = 0; ("items." i ".verdict") in member; i++) image("items." i ".")
    for (i = 0; ("skipped." i ".code") in member; i++) {
      if (rank[worst] < rank["unknown"]) worst = "unknown"
      printf "unknown  %s  %s, %d findings\n", member["skipped." i ".image"], member["skipped." i ".code"], member["skipped." i ".findings"]
    }
    print "Verdict: " worst
  }'

# shellcheck disable=SC2016 # of awk
problem='
  END {
    printf "%s", ("title" in member) ? member["title"] : ("message" in member) ? member["message"] : "the answer is none of its own"
    sub(/\.$/, "", member["detail"])
    if (member["detail"] != "") printf ". %s", member["detail"]
    printf " (%s, ", ("code" in member) ? member["code"] : "HTTP " status
    if ("requestId" in member || upload == "") printf "request %s)", ("requestId" in member) ? member["requestId"] : "unknown"
    else printf "upload %s)", upload
    for (i = 0; ("errors." i ".message") in member; i++) printf "\n  %s: %s", member["errors." i ".path"], member["errors." i ".message"]
  }'

# Where a large report is put, as curl's configuration; first its upload's ID. Nothing, when a part could say more to curl.
# shellcheck disable=SC2016 # of awk
place='
  END {
    if (member["uploadId"] !~ /^u-[a-z2-7]+$/ || member["url"] !~ /^https?:\/\/[A-Za-z0-9:\/?&=%._~+-]+$/) exit
    lines = "# " member["uploadId"] "\nurl = \"" member["url"] "\"\n"
    for (name in member) {
      if (substr(name, 1, 8) != "headers." || name == "headers.Content-Length") continue
      header = substr(name, 9) ": " member[name]
      if (header !~ /^[A-Za-z0-9-]+: [A-Za-z0-9+\/=.-]+$/) exit
      lines = lines "header = \"" header "\"\n"
    }
    printf "%s", lines
  }'

main() {
  trap 'ended=1; exit 130' HUP INT TERM PIPE
  options "$@"
  work=$(mktemp -d)
  take_report
  send_report
  [ "$status" = 201 ] || die "The report was refused: $(read_answer "$problem")"
  read_answer "$table" >"$work/table"
  verdict=$(tail -n 1 "$work/table")
  case $verdict in 'Verdict: '[pfwu]*) ;; *) die "$api_url has answered something else than a verdict" ;; esac
  if [ "$format" = json ]; then cat "$work/answer" && echo; else printable <"$work/table"; fi
  case $verdict-$strict in *pass* | *warn-) end 0 ;; *fail*) end 1 ;; *warn-1) end 2 ;; *) end 3 ;; esac
}

main "$@"
