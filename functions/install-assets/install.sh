#!/bin/sh
# Run by whoever administers a Kubernetes cluster; installs Calico where there is none and connects the cluster to the
# Cattery control plane that served this script. `sh install.sh --help` says how; docs/install.md tells every step.
# To read it, begin with main at the end. The sections: options, saying and ending, JSON, the control plane, the cluster;
# preflight; install (key and registration, Calico, connection), renewal, uninstall.
#
# POSIX sh with curl, openssl and kubectl. All of it is functions until the last line, so that a download that was cut
# off runs nothing. What must last is kept in the cluster, in namespace cattery-system; here are only temporary files
# without secrets. A private key exists in pipes alone, credentials in variables and pipes: never in a file, in an
# argument of a program, or in a report.

set -euf +ax # not -x: it would show credentials
umask 077
LC_ALL=C   # bytes are bytes, and programs complain in one language
KUBERC=off # kubectl as it is, without options of the user's own: delete could ask, and a log level show secrets
export LC_ALL KUBERC
unset token cluster_token stored_token answer found value # of the environment, they would be passed on to every program

api_url='@CATTERY_API_URL@'
tunnel_address='@CATTERY_TUNNEL_ADDRESS@'
installer_version=1.0.0

newline='
'
ours=cattery-system
theirs=tigera-operator
label='"labels":{"app.kubernetes.io/managed-by":"cattery"}'
oldest_kubectl=v1.27.0
oldest_calico=v3.30.0
docs=https://docs.tigera.io/calico/latest
again='Run the same command again: it goes on where it stopped.'

help() {
  cat <<HELP
Connects the Kubernetes cluster of a kubectl context to $api_url.
Calico is installed where there is none; open-source Calico v3.30 or later that the Tigera operator runs is connected.

  curl -fsSL $api_url/install.sh | sh -s -- --token TOKEN
  sh install.sh [options]

  --token TOKEN         registration token (crt_...); or in the variable CATTERY_TOKEN, or with --token-file FILE
  --name NAME           the cluster's name in Cattery: 1 to 63 of a-z 0-9 . -   (default: from the context's name)
  --context CONTEXT     kubectl context                                         (default: the current one)
  --yes                 do not ask
  --check               look, change nothing, and say what would stand in the way
  --dry-run             print what would be applied to the cluster; register and change nothing
  --renew               renew the certificate of the connected cluster, with a new key
  --uninstall           disconnect, and remove what this script added; Calico stays
  --ca-file FILE        what verifies $api_url, PEM
  --timeout SECONDS     bound of each wait                                      (default: 600)
  --no-tunnel-check     do not try $tunnel_address from here
  --help, --version

Where Calico is to be installed:
  --calico-version V         one of $api_url/v1/releases      (default: the first)
  --pod-cidr CIDR            network of the pods                    (default: kubeadm's, else 192.168.0.0/16)
  --registry HOST[:PORT]     take images from there, --image-path PATH: from that path of it
  --image-pull-secret NAME   pull secret in namespace tigera-operator, made of --image-pull-secret-file FILE if given
  --https-proxy URL, --http-proxy URL, --no-proxy LIST     for Calico's own connections
This script's own curl obeys HTTPS_PROXY and NO_PROXY.

Exit: 0 done, 1 a step failed, 2 wrong usage, 3 preflight refused and nothing was changed, 4 the control plane refused
or was not reached, 5 a wait ran out, 130 interrupted. After any of them the same command may be run again.
HELP
}

# ---- options -----------------------------------------------------------------------------------------------------

wrong() {
  printf 'install.sh: %s\n  sh install.sh --help\n' "$1" >&2
  exit 2
}

options() {
  action=install until='' yes='' try_tunnel=1 timeout=600
  name='' context='' ca_file='' token_file='' release='' pod_cidr=''
  registry='' image_path='' pull_secret='' pull_secret_file='' https_of='' http_of='' no_proxy_of=''
  token=${CATTERY_TOKEN-}
  unset CATTERY_TOKEN
  while [ $# -gt 0 ]; do
    option=$1 value=''
    shift
    case $option in
    --?*=*) value=${option#*=} option=${option%%=*} ;;
    --token | --token-file | --name | --context | --ca-file | --timeout | --calico-version | --pod-cidr | --registry | \
      --image-path | --image-pull-secret | --image-pull-secret-file | --https-proxy | --http-proxy | --no-proxy)
      case ${1-} in '' | --*) wrong "$option needs a value" ;; esac
      value=$1
      shift
      ;;
    esac
    case $option in
    --token) token=$value ;;
    --token-file) token_file=$value ;;
    --name) name=$value ;;
    --context) context=$value ;;
    --ca-file) ca_file=$value ;;
    --timeout) timeout=$value ;;
    --calico-version) release=$value ;;
    --pod-cidr) pod_cidr=$value ;;
    --registry) registry=${value%/} ;;
    --image-path) image_path=${value%/} ;;
    --image-pull-secret) pull_secret=$value ;;
    --image-pull-secret-file) pull_secret_file=$value ;;
    --https-proxy) https_of=$value ;;
    --http-proxy) http_of=$value ;;
    --no-proxy) no_proxy_of=$value ;;
    --yes | -y) yes=1 ;;
    --no-tunnel-check) try_tunnel='' ;;
    --check | --dry-run)
      [ -z "$until" ] || [ "--$until" = "$option" ] || wrong "--$until and $option do not go together"
      until=${option#--}
      ;;
    --renew | --uninstall)
      [ "$action" = install ] || [ "--$action" = "$option" ] || wrong "--$action and $option do not go together"
      action=${option#--}
      ;;
    --help | -h) help && exit 0 ;;
    --version) echo "install.sh $installer_version of $api_url" && exit 0 ;;
    *) wrong "unknown option: $option" ;;
    esac
  done
  case $api_url in @*) wrong 'This script works as its control plane serves it: download it from .../install.sh there.' ;; esac
  api_url=${api_url%/}
  [ "$action" = install ] || [ "$until" != dry-run ] || wrong "--dry-run is for an install, not for --$action"
  [ "$action" != uninstall ] || [ -z "$until" ] || wrong '--check is for an install or --renew'
  case $timeout in '' | 0* | *[!0-9]* | ??????*) wrong '--timeout is a number of seconds' ;; esac
  if [ -n "$token_file" ]; then
    [ -r "$token_file" ] || wrong "--token-file: $token_file cannot be read"
    token=$(tr -d ' \r\n' <"$token_file")
  fi
  case $token in '' | crt_*) ;; *) wrong 'this is no registration token: one begins with crt_' ;; esac
  case $token in *[!A-Za-z0-9_-]*) wrong 'the registration token has characters that none has' ;; esac
  case $name in *[!a-z0-9.-]* | ????????????????????????????????????????????????????????????????*)
    wrong "--name $name: 1 to 63 of a-z 0-9 . -" ;;
  esac
  case $pod_cidr in *[!0-9a-f.:/]*) wrong '--pod-cidr is a network, as 10.244.0.0/16' ;; esac
  case $pull_secret in *[!a-z0-9.-]*) wrong '--image-pull-secret is the name of a Secret' ;; esac
  case $https_of$http_of in *@*) wrong 'a proxy address with user and password would stand in the cluster for all to read: give one without' ;; esac
  for file in "$ca_file" "$pull_secret_file"; do
    [ -z "$file" ] || [ -r "$file" ] || wrong "$file cannot be read"
  done
  [ -z "$pull_secret_file" ] || [ -n "$pull_secret" ] || wrong '--image-pull-secret-file needs --image-pull-secret NAME'
  if [ -z "$yes$until" ] && ! (: </dev/tty) 2>/dev/null; then
    wrong 'there is no terminal to ask on: look with --check first, then say --yes'
  fi
}

# ---- saying and ending -------------------------------------------------------------------------------------------

# Descriptor 3 is where the user reads: standard output, or standard error while that carries manifests (--dry-run).
# Descriptor 4 is standard error: where a signal arrives, 2 may be redirected to what kubectl complains of.
say() { printf '%s\n' "$*" | printable >&3; }
# What the cluster or the control plane says must not command this terminal.
printable() { tr -d '\000-\010\013-\037\177'; }

# die EXIT REASON SENTENCE [REMEDY]
die() {
  trap '' INT TERM HUP PIPE
  ended=1
  printf 'install.sh: %s\n' "$3" | printable >&4
  [ -z "${4-}" ] || printf '  remedy: %s\n' "$4" | printable >&4
  report "$step" failed "$3" "$2" "${4-}"
  exit "$1"
}

finish() {
  trap - EXIT
  trap '' INT TERM HUP PIPE
  if [ -z "$ended" ] && [ "$1" != 0 ]; then
    printf 'install.sh: stopped unexpectedly at step %s (%s)\n  remedy: %s\n' "$step" "$1" "$again" >&4
    report "$step" failed 'Stopped unexpectedly.' UNEXPECTED "$again"
  fi
  [ -z "$work" ] || rm -rf "$work"
}

now() { date +%s; }

# Asks on the terminal: standard input is the script itself when that is piped.
confirm() {
  [ -z "$yes" ] || return 0
  printf '%s [y/N] ' "$1" | printable >/dev/tty
  reply=''
  IFS= read -r reply </dev/tty || :
  case $reply in y | Y | yes | Yes | YES) ;; *)
    ended=1
    say 'Nothing was changed.'
    exit 3
    ;;
  esac
}

# ---- JSON --------------------------------------------------------------------------------------------------------

# json PATH: prints the string, number or word that stands there in the JSON of standard input, as items[0].version;
# nothing when there is none.
json() {
  awk -v wanted="$1" '
    { text = text $0 "\n" }
    function skip() { sub(/^[ \t\r\n]+/, "", text) }
    function byte(code) { return sprintf("%c", code) }
    function utf8(code) {
      if (code < 128) return byte(code)
      if (code < 2048) return byte(192 + int(code / 64)) byte(128 + code % 64)
      if (code < 65536) return byte(224 + int(code / 4096)) byte(128 + int(code / 64) % 64) byte(128 + code % 64)
      return byte(240 + int(code / 262144)) byte(128 + int(code / 4096) % 64) byte(128 + int(code / 64) % 64) byte(128 + code % 64)
    }
    function number(hex,  at, sum) {
      for (at = 1; at <= 4; at++) sum = sum * 16 + index("0123456789abcdef", tolower(substr(hex, at, 1))) - 1
      return sum
    }
    function plain(s,  out, at, c, code) {
      while ((at = index(s, "\\")) > 0) {
        c = substr(s, at + 1, 1); out = out substr(s, 1, at - 1)
        if (c != "u") { out = out (index("nrtbf", c) ? substr("\n\r\t\b\f", index("nrtbf", c), 1) : c); s = substr(s, at + 2); continue }
        code = number(substr(s, at + 2)); s = substr(s, at + 6)
        if (code >= 55296 && code < 56320 && substr(s, 1, 2) == "\\u") {
          code = 65536 + (code - 55296) * 1024 + number(substr(s, 3)) - 56320; s = substr(s, 7)
        }
        out = out utf8(code)
      }
      return out s
    }
    function string(  token) {
      if (!match(text, /^"([^"\\]|\\.)*"/)) exit
      token = substr(text, 2, RLENGTH - 2); text = substr(text, RLENGTH + 1)
      return plain(token)
    }
    function walk(path,  key, n, first) {
      skip(); first = substr(text, 1, 1)
      if (first == "{" || first == "[") {
        do {
          text = substr(text, 2); skip()
          if (index("]}", substr(text, 1, 1))) break
          if (first == "{") { key = string(); skip(); text = substr(text, 2); walk(path == "" ? key : path "." key) }
          else walk(path "[" n++ + 0 "]")
          skip()
        } while (substr(text, 1, 1) == ",")
        text = substr(text, 2)
        return
      }
      if (first == "\"") key = string()
      else if (match(text, /^[-+.0-9A-Za-z]+/)) { key = substr(text, 1, RLENGTH); text = substr(text, RLENGTH + 1) }
      else exit
      if (path == wanted) { if (key != "null" || first == "\"") printf "%s", key; exit }
    }
    END { walk("") }'
}

field() { printf '%s\n' "$answer" | json "$1"; }

# A JSON string of its argument, in quotes: printable ASCII and line ends, at most 2000 of them.
quote() {
  printf '"%s"' "$(printf '%.2000s\n' "$1" | tr '\11' ' ' | tr -cd '\12\40-\176' | sed 's/[\\"]/\\&/g' |
    awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }')"
}

# ---- the control plane -------------------------------------------------------------------------------------------

# call METHOD PATH [TOKEN [BODY]]: one request. Sets $status and $answer; fails with $trouble and $cure when no answer came.
# The credential goes through standard input: arguments of programs can be read by everybody on this machine. -q: without
# the user's .curlrc, which could print it.
call() {
  set -- "$1" "$2" "${3-}" "${4-}"
  status=000
  answer=$(
    { [ -z "$3" ] || printf 'header = "Authorization: Bearer %s"\n' "$3"; } |
      curl -q --config - --globoff --silent --show-error --request "$1" ${4:+--header 'Content-Type: application/json' --data "$4"} \
        ${ca_file:+--cacert "$ca_file"} --connect-timeout 10 --max-time "$patience" --dump-header "$work/headers" \
        --write-out '\n%{http_code}' "$api_url$2" 2>"$work/curl"
  ) || {
    explain_curl $? "$api_url"
    return 1
  }
  status=${answer##*"$newline"}
  answer=${answer%"$newline"*}
}

# insist ...: the same, some times before it gives up: every request of this script may be sent again.
insist() {
  for pause in 1 3 0; do
    code=''
    if call "$@"; then
      code=$(field code)
      case $status-$code in 429-* | 5??-* | *-CONFLICT) ;; *) return 0 ;; esac
      trouble="$(field title) ${code:-$status}" cure='Try again in a minute.'
    fi
    sleep "$pause"
  done
  [ "$code" != CONFLICT ] || return 0
  die 4 CONTROL_PLANE_UNREACHABLE "The control plane did not answer: $trouble" "$cure $again"
}

# What an exit code of curl means.
explain_curl() {
  cure="Look at it with: curl -v $api_url/healthz"
  case $1 in
  5) trouble='the name of the proxy cannot be resolved' cure='Correct HTTPS_PROXY.' ;;
  6) trouble='its name cannot be resolved' cure='Is DNS here as it should be? Behind a proxy set HTTPS_PROXY.' ;;
  7) trouble='the connection was refused or cannot be made' cure='Open egress to it in the firewall; behind a proxy set HTTPS_PROXY.' ;;
  22) trouble='it answered with an error' ;;
  23) trouble='a file could not be written here' cure="Is the disk full? TMPDIR names another place than ${TMPDIR:-/tmp}." ;;
  28) trouble='no answer within the time' cure='Something between drops the packets: open egress to it; behind a proxy set HTTPS_PROXY.' ;;
  35) trouble='the TLS handshake failed' cure='Is something between that breaks TLS, or a plain HTTP server there?' ;;
  51 | 60) trouble='its certificate cannot be verified' cure='Give the CA that signed it with --ca-file FILE; a clock that is wrong does this, too.' ;;
  52 | 55 | 56) trouble='the connection broke' ;;
  58 | 77) trouble='the CA file cannot be used' cure='--ca-file wants PEM certificates.' ;;
  127) trouble='curl is missing' cure='Install curl.' ;;
  *) trouble='curl failed' ;;
  esac
  trouble="${2#*://}: $trouble (curl $1: $(sed -n '1s/^curl: ([0-9]*) //p' "$work/curl" 2>/dev/null))"
}

# refused WHAT: ends with what the control plane answered.
refused() {
  code=$(field code)
  case $code in
  TOKEN_SPENT) cure='A registration token registers one cluster, once, and this one has been used with another key. Make a new one and run again with it.' ;;
  UNAUTHENTICATED) cure='The token is wrong, revoked or expired: make a new one and run again with it.' ;;
  CLUSTER_NAME_TAKEN) cure='Run again with another --name; or disconnect the cluster of that name in Cattery first, if it was this one.' ;;
  CLUSTER_NAME_NOT_ALLOWED) cure='The token was made for one name: run again with --name and that name.' ;;
  CERTIFICATE_EXPIRED) cure='Run with --uninstall, then connect it anew with a new registration token.' ;;
  PROOF_STALE) cure='The clock of this machine is wrong: set it, and run again.' ;;
  CONFLICT) cure='Run again with the name that is said here, in --name.' ;;
  *) cure=$again ;;
  esac
  words=$(field detail)
  die 4 "${code:-HTTP_$status}" "$1: $(field title)${words:+. $words} (${code:-HTTP $status}, request $(field requestId))" "$cure"
}

# report STEP STATE [MESSAGE [REASON [HINT]]]: tells the control plane how far this is. Best effort: nothing depends on it.
report() {
  [ -n "$cluster_token" ] || return 0
  body="{\"operation\":\"$action\",\"attempt\":\"$attempt\",\"sequence\":$sequence,\"step\":\"$1\",\"state\":\"$2\""
  [ -z "${3-}" ] || body="$body,\"message\":$(quote "$(printf '%.500s' "$3")")"
  [ -z "${4-}" ] || body="$body,\"reason\":\"$4\""
  [ -z "${5-}" ] || body="$body,\"hint\":$(quote "$(printf '%.500s' "$5")")"
  body="$body,\"versions\":{\"installer\":\"$installer_version\""
  [ -z "$kubernetes_version" ] || body="$body,\"kubernetes\":$(quote "$kubernetes_version")"
  [ -z "$calico_version" ] || body="$body,\"calico\":$(quote "$calico_version")"
  [ -z "$operator_version" ] || body="$body,\"operator\":$(quote "$operator_version")"
  body="$body}${states:+,\"tigerastatus\":[$states]}}"
  sequence=$((sequence + 1))
  (patience=10 && call POST "/v1/clusters/$cluster_id/progress" "$cluster_token" "$body") >/dev/null 2>&1 || :
}

# begin STEP WORDS, and what ends it.
begin() {
  step=$1
  say "$2"
  [ "$action" != install ] || remember step "$1"
  report "$1" running "$2"
}
done_with() { report "$step" 'done'; }

# ---- the cluster -------------------------------------------------------------------------------------------------

kube() { kubectl ${context:+"--context=$context"} --request-timeout=60s "$@"; }

# What kubectl complained of, without its log lines.
complaint() { cat "$work/err.key" "$work/err" 2>/dev/null | grep -v '^[EWI][0-9][0-9][0-9][0-9] ' | cut -c1-400 | head -n 3 | tr '\n' ' ' || :; }

# broken WHAT: ends with kubectl's complaint about it.
broken() {
  words=$(complaint)
  reason=KUBECTL_FAILED cure=$again
  case $words in
  *orbidden* | *'cannot '*' resource '*) reason=KUBERNETES_FORBIDDEN cure='Run it as somebody with that right: --check lists what is needed.' ;;
  *nauthorized* | *'be logged in'* | *'provide credentials'*) reason=KUBERNETES_UNAUTHORIZED cure="Sign in to the cluster again, then: $again" ;;
  *refused* | *'no such host'* | *'nable to connect'* | *imeout* | *EOF* | *'onnection reset'* | *'exceeded'*)
    reason=KUBERNETES_UNREACHABLE cure="When the Kubernetes API answers again: $again" ;;
  *onflict* | *'been modified'*) reason=ANOTHER_RUN cure="Another run of this script was faster: let it end. $again" ;;
  *'No space left'*) reason=DISK_FULL ;;
  esac
  printf x 2>/dev/null >"$work/probe" || reason=DISK_FULL
  [ $reason != DISK_FULL ] || cure="Make room in ${TMPDIR:-/tmp} or set TMPDIR. $again"
  die 1 $reason "$1: ${words:-kubectl failed}" "$cure"
}

# read_kube CHECK ARGUMENT...: for the preflight. Sets $found to what kubectl gives; when it does not, the check has failed.
read_kube() {
  check=$1
  shift
  found=$(kube "$@" 2>"$work/err") || {
    fail "$check" "cannot be read: $(complaint)" 'Is the context the right one, are you signed in, and may you read this?'
    return 1
  }
}

# apply [FILE]: server-side, from standard input without FILE. CRDs are too large for the annotation of a
# client-side apply. Conflicts are forced: the operator updates some of these very objects (its own CRDs among them),
# and what is applied here is what the release says, or ours alone.
apply() {
  kube apply --server-side --force-conflicts --field-manager=cattery -f "${1:--}" >"$work/out" 2>"$work/err"
}

# remember KEY VALUE ...: in the ConfigMap, so that another run, from wherever, goes on.
remember() {
  patch=''
  while [ $# -gt 0 ]; do
    patch="$patch${patch:+,}\"$1\":$(quote "$2")"
    shift 2
  done
  kube patch configmap cattery-install -n $ours --type=merge -p "{\"data\":{$patch}}" >"$work/out" 2>"$work/err" ||
    broken 'The state cannot be kept in the cluster'
}

# Reads what earlier runs have kept. Of the Secret only names and the token: keys are read by pipes alone.
recall() {
  read_kube state get configmap cattery-install -n $ours --ignore-not-found -o 'jsonpath={.metadata.name}|{.data.apiUrl}|{.data.clusterName}|{.data.clusterId}|{.data.calicoInstalled}|{.data.calicoVersion}|{.data.created}|{.data.retiring}' || return
  IFS='|' read -r state_kept kept_api kept_name cluster_id calico_installed kept_release created retiring <<STATE
$found
STATE
  # The version before the names: a key is later put in the place of exactly what was seen here.
  read_kube state get secret cattery-identity -n $ours --ignore-not-found -o 'jsonpath={.metadata.resourceVersion}|{.data.token}' || return
  identity_version=${found%%|*}
  stored_token=$(printf '%s' "${found#*|}" | openssl base64 -d -A)
  read_kube state get secret cattery-identity -n $ours --ignore-not-found -o "go-template={{range \$name, \$value := .data}}{{\$name}} {{end}}" || return
  identity=" $found"
  found=''
  # Whoever may write there must not get lines into curl's configuration, or other addresses.
  case $stored_token$cluster_id$kept_name$kept_release$created$retiring in *[!A-Za-z0-9_.,-]*)
    fail state "ConfigMap cattery-install or Secret cattery-identity in $ours has what this script does not write there" \
      "Who has changed it? To begin anew, disconnect the cluster in Cattery, then: kubectl delete managementclusterconnection tigera-secure; kubectl delete namespace $ours"
    return 1
    ;;
  esac
}

# Secrets as JSON, of one base64 line on standard input; nothing of nothing, so that kubectl refuses what broke before.
secret_of() { # NAMESPACE NAME FILE
  awk -v namespace="$1" -v name="$2" -v file="$3" -v label="$([ "$1" != $ours ] || printf '%s,' "$label")" '$0 != "" {
    printf "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{%s\"namespace\":\"%s\",\"name\":\"%s\"},\"type\":\"Opaque\",\"data\":{\"%s\":\"%s\"}}", label, namespace, name, file, $0 }'
}
patch_of() { awk -v before="$1" -v after="$2" '$0 != "" { printf "%s\"%s\"%s", before, $0, after }'; }
patch_secret() { # NAMESPACE NAME < patch
  kube patch secret "$2" -n "$1" --type=merge --patch-file=/dev/stdin >"$work/out" 2>"$work/err"
}
new_key() { openssl ecparam -name prime256v1 -genkey -noout 2>/dev/null | openssl base64 -A; }
kept_key() { # FILE of the identity: base64
  kube get secret cattery-identity -n $ours -o "jsonpath={.data.$(printf '%s' "$1" | sed 's/\./\\./g')}" 2>"$work/err.key"
}
# The request for a certificate of a kept key. Its name is ignored by the control plane; some openssl want one.
request_for() {
  csr=$(kept_key "$1" | openssl base64 -d -A | openssl req -new -sha256 -key /dev/stdin -subj /CN=managed-cluster 2>"$work/openssl") || csr=''
  case $csr in *'END CERTIFICATE REQUEST'*) ;; *)
    [ ! -s "$work/err.key" ] || broken 'The key of the cluster cannot be read'
    cure="If nothing is connected with it, delete the Secret. $again"
    [ "$1" != next.key ] || cure="Another run may have finished this renewal. $again"
    die 1 KEY_UNUSABLE "No certificate can be requested with the key $1 in Secret $ours/cattery-identity: $(head -n 1 "$work/openssl")" "$cure"
    ;;
  esac
}

# What the operator says of its parts: $states as JSON for reports, $ailing in words.
look_at_states() {
  lines=$(kube get tigerastatuses.operator.tigera.io calico apiserver goldmane whisker management-cluster-connection --ignore-not-found \
    -o 'jsonpath={range .items[*]}{.metadata.name}|{.status.conditions[?(@.type=="Available")].status}|{.status.conditions[?(@.type=="Progressing")].status}|{.status.conditions[?(@.type=="Degraded")].status}|{.status.conditions[?(@.type=="Degraded")].message}{"\n"}{end}' 2>"$work/err") || :
  states='' ailing='' available=' '
  while IFS='|' read -r part up moving ill message; do
    [ -n "$up" ] || continue
    states="$states${states:+,}{\"name\":$(quote "$part"),\"available\":$(truth "$up"),\"progressing\":$(truth "$moving"),\"degraded\":$(truth "$ill")"
    [ -z "$message" ] || states="$states,\"message\":$(quote "$(printf '%.500s' "$message")")"
    states="$states}"
    [ "$up" != True ] || available="$available$part "
    [ "$ill" != True ] || ailing="$ailing${ailing:+; }$part: $message"
  done <<STATES
$lines
STATES
}
truth() { if [ "$1" = True ]; then echo true; else echo false; fi; }

# await WHAT CHECK REMEDY: until the function CHECK succeeds, for --timeout seconds. CHECK may say why not in $waiting.
await() {
  waiting='' last=$(now) deadline=$(($(now) + timeout))
  until "$2"; do
    moment=$(now)
    # A clock that was set back must not make the wait longer.
    [ "$moment" -ge "$last" ] || deadline=$((deadline - last + moment)) last=$moment
    if [ "$moment" -ge "$deadline" ]; then
      look_at_states
      die 5 TIMED_OUT "$1: not within $timeout seconds${waiting:+; $waiting}${ailing:+ ($ailing)}" "$3 $again"
    fi
    if [ $((moment - last)) -ge 20 ]; then
      last=$moment
      look_at_states
      say "    still waiting: ${waiting:-$1}${ailing:+ ($ailing)}"
      report "$step" running "Waiting: ${waiting:-$1}${ailing:+ ($ailing)}"
    fi
    sleep 2
  done
}

# Why a look did not find what is awaited. A right that is missing will not come by waiting.
held_up() {
  waiting=$(complaint)
  case $waiting in *orbidden* | *nauthorized* | *'be logged in'*) broken 'What is awaited cannot be read' ;; esac
  return 1
}

# ---- preflight: looks at everything, changes nothing ----------------------------------------------------------------

ok() { say "  ok    $1: $2"; }
warn() {
  say "  warn  $1: $2"
  say "        $3"
}
fail() {
  say "  FAIL  $1: $2"
  say "        remedy: $3"
  refusals="$refusals $1"
}

# older A B: whether version A is before B, by their numbers.
older() {
  awk -v one="$1" -v other="$2" 'BEGIN {
    sub(/^v/, "", one); sub(/^v/, "", other); split(one, a, /[^0-9]/); split(other, b, /[^0-9]/)
    for (i = 1; i <= 3; i++) if (a[i] + 0 != b[i] + 0) exit a[i] + 0 < b[i] + 0 ? 0 : 1
    exit 1 }'
}

preflight() {
  refusals='' calico='' namespace_phase='' lacking='' fips='' crds='' release_answer='' operator_image='' installation_patch=''
  say "Preflight: $action, with $api_url"
  check_tools
  [ -z "$refusals" ] || stop_at_preflight
  check_disk
  [ -z "$refusals" ] || stop_at_preflight
  check_api
  check_tunnel
  if check_context && check_kubernetes; then
    check_state
    if [ "$action" = install ]; then
      check_calico
      check_network
      check_images
    fi
    check_rights
    check_fips
  else
    say '  -     state, calico, rights: not looked at without the cluster'
  fi
  [ -z "$refusals" ] || stop_at_preflight
}

stop_at_preflight() {
  ended=1
  printf 'install.sh: preflight refused:%s. Nothing was changed.\n' "$refusals" >&2
  exit 3
}

check_tools() {
  absent=''
  for tool in curl openssl kubectl awk sed tr grep cut head tail sort mktemp sleep date dd rm cat; do
    command -v $tool >/dev/null 2>&1 || absent="$absent $tool"
  done
  [ -z "$absent" ] || {
    fail tools "not found:$absent" 'Install what is missing and run again.'
    return
  }
  client=$(kubectl version --client -o json 2>/dev/null | json clientVersion.gitVersion) || client=''
  tools="curl $(curl --version 2>/dev/null | awk 'NR == 1 { print $2 }'), $(openssl version 2>/dev/null | awk '{ print $1, $2 }'), kubectl ${client:-?}"
  if ! openssl ecparam -name prime256v1 -noout >/dev/null 2>&1; then
    fail tools "$tools: this openssl does not know the curve P-256" 'Use OpenSSL 1.1 or later, or LibreSSL.'
  elif [ -z "$client" ] || older "$client" $oldest_kubectl; then
    fail tools "$tools" "kubectl ${oldest_kubectl%.0} or later is needed."
  else
    ok tools "$tools"
  fi
}

# Everything else writes: without room it would complain of something that is well. The largest manifest has 3 MB.
check_disk() {
  blocks=96
  [ "$action" = install ] || blocks=4
  if ! work=$(mktemp -d "${TMPDIR:-/tmp}/cattery.XXXXXX" 2>/dev/null); then
    work=''
  elif dd if=/dev/zero of="$work/room" bs=65536 count=$blocks >/dev/null 2>&1; then
    rm -f "$work/room"
    return 0
  fi
  fail disk "temporary files cannot be written: is ${TMPDIR:-/tmp} full? 6 MB are needed" 'Make room, or set TMPDIR to another place.'
}

check_api() {
  skew=0
  call GET /healthz && [ "$status" = 200 ] || {
    [ "$status" = 000 ] || trouble="$api_url/healthz answered $status $(field code)" cure='The control plane is not well: try again in a minute.'
    [ "$action" != uninstall ] || cure="$cure If it is gone for good: kubectl delete managementclusterconnection tigera-secure; kubectl delete namespace $ours"
    fail api "$trouble" "$cure"
    return 0
  }
  ok api "$api_url answers"
  # Certificates are valid from 5 minutes before they are made, and a proof of possession for 5 minutes.
  their_time=$(sed -n 's/^[Dd]ate: *[A-Za-z]*, *//p' "$work/headers" | tr -d '\r' | tail -n 1 | epoch)
  if [ -z "$their_time" ]; then
    warn clock 'the control plane says no time' 'A clock that is wrong here would show later only.'
    return
  fi
  skew=$((their_time - $(now)))
  if [ $skew -gt 300 ] || [ $skew -lt -300 ]; then
    fail clock "this machine's clock is off by $skew seconds" 'Set it (NTP), and that of the nodes.'
  else
    ok clock "within ${skew#-} seconds of the control plane's"
  fi
}

# Seconds since 1970 of "24 Nov 2026 15:04:05 GMT"; date -d is not everywhere.
epoch() {
  awk '{ m = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $2) + 2) / 3; y = $3; if (y < 2000 || m < 1) exit
    split($4, t, ":"); if (m <= 2) { y--; m += 12 }
    printf "%.0f\n", 86400 * (365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + $1 - 719469) + t[1] * 3600 + t[2] * 60 + t[3] }'
}

# A TLS handshake on the tunnel's port, by the proxy of this environment if there is one. It says nothing of the nodes' own
# way there, but what is closed here is mostly closed there as well.
check_tunnel() {
  [ "$action" != uninstall ] || return 0
  [ -n "$try_tunnel" ] || {
    warn tunnel "$tunnel_address was not tried" 'The nodes must reach it with TLS.'
    return 0
  }
  proxy=${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY-}}}} # in curl's order
  if spared "${tunnel_address%:*}"; then proxy=''; fi
  case $proxy in *@* | https://* | socks*)
    warn tunnel "$tunnel_address was not tried: openssl would show a proxy's password to everybody here, and knows http:// proxies only" \
      'The nodes must reach it with TLS.'
    return 0
    ;;
  esac
  proxy=${proxy#*://}
  proxy=${proxy%%/*}
  openssl s_client -connect "$tunnel_address" ${proxy:+-proxy "$proxy"} </dev/null >"$work/tls" 2>&1 3>&- 4>&- &
  hand=$! tries=0
  while kill -0 $hand 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || kill $hand 2>/dev/null || :
    sleep 0.2 2>/dev/null || sleep 1
  done
  wait $hand 2>/dev/null || :
  if grep -q 'BEGIN CERTIFICATE' "$work/tls"; then
    ok tunnel "$tunnel_address answers with TLS${proxy:+ through $proxy}"
    case $tunnel_address in 127.* | localhost:* | '[::1]'*)
      warn tunnel "$tunnel_address is this machine alone: pods that dial it reach themselves" \
        'Start the control plane with: npm start -- --listen 0.0.0.0 --advertise ADDRESS'
      ;;
    esac
  elif grep -q '^CONNECTED' "$work/tls"; then
    fail tunnel "$tunnel_address${proxy:+ through $proxy} accepts connections, but not TLS" \
      'Something between answers in its place: let this port pass untouched.'
  else
    fail tunnel "$tunnel_address${proxy:+ through $proxy} is not reached" \
      'Open egress to it, from the nodes as well. If the nodes reach it and only this machine does not: --no-tunnel-check.'
  fi
}

# Whether NO_PROXY spares this host.
spared() {
  for each in $(printf '%s' "${no_proxy:-${NO_PROXY-}}" | tr ',' ' '); do
    case $1 in "${each#.}" | *".${each#.}") return 0 ;; esac
    [ "$each" != '*' ] || return 0
  done
  return 1
}

check_context() {
  if [ -n "$context" ]; then
    kubectl config get-contexts "$context" -o name >/dev/null 2>&1 || {
      fail context "kubectl knows no context $context" 'Those that it knows: kubectl config get-contexts -o name'
      return 1
    }
  else
    context=$(kubectl config current-context 2>/dev/null) || context=''
  fi
  if [ -z "$context" ] && [ -n "${KUBERNETES_SERVICE_HOST-}" ]; then
    use_pod_account
  elif [ -z "$context" ]; then
    fail context 'kubectl has no current context' 'Name one with --context; those that it knows: kubectl config get-contexts -o name'
    return 1
  else
    server=$(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}' 2>/dev/null) || server='?'
  fi
  place=$context
  ok context "$place ($server)"
}

# In a pod, by its ServiceAccount. kubectl would find that itself, but only without any option of its own.
use_pod_account() {
  host=$KUBERNETES_SERVICE_HOST account=/var/run/secrets/kubernetes.io/serviceaccount
  case $host in *:*) host="[$host]" ;; esac
  server=https://$host:${KUBERNETES_SERVICE_PORT:-443} context=in-cluster
  cat >"$work/kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters: [{ name: in-cluster, cluster: { server: "$server", certificate-authority: $account/ca.crt } }]
users: [{ name: in-cluster, user: { tokenFile: $account/token } }]
contexts: [{ name: in-cluster, context: { cluster: in-cluster, user: in-cluster } }]
current-context: in-cluster
KUBECONFIG
  KUBECONFIG=$work/kubeconfig
  export KUBECONFIG
}

check_kubernetes() {
  versions=$(kube version -o json 2>"$work/err") || versions=''
  kubernetes_version=$(printf '%s\n' "$versions" | json serverVersion.gitVersion)
  [ -n "$kubernetes_version" ] || {
    fail kubernetes "it does not answer: $(complaint)" 'Try: kubectl version. Is the context the right one, and are you signed in?'
    return 1
  }
  distribution=kubernetes
  case $kubernetes_version in *+k3s*) distribution=k3s ;; *+rke2*) distribution=rke2 ;; *-gke*) distribution=gke ;; *-eks*) distribution=eks ;; esac
  lines=$(kube get nodes -o 'jsonpath={range .items[*]}node|{.spec.providerID}|{.metadata.annotations.flannel\.alpha\.coreos\.com/backend-type}{"\n"}{end}' 2>/dev/null) || lines=''
  case $lines in *'|kind:'*) distribution=kind ;; *'|azure:'*) distribution=aks ;; *'|k3s:'*) distribution=k3s ;; esac
  nodes=$(printf '%s\n' "$lines" | grep -c '^node|') || nodes=0
  flannel=$(printf '%s\n' "$lines" | cut -d '|' -f 3 | tr -d '\n')
  ok kubernetes "$kubernetes_version ($distribution, nodes: $nodes)"
}

check_state() {
  state_kept='' kept_api='' kept_name='' calico_installed='' kept_release='' created='' retiring='' identity=''
  recall && read_kube state get namespace $ours --ignore-not-found -o 'jsonpath={.status.phase}' || return 0
  namespace_phase=$found
  [ -n "$name" ] || name=$kept_name
  # A context's name is whatever somebody has typed: what does not fit becomes a dash.
  [ -n "$name" ] || name=$(printf '%.63s' "$place" | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9.-' '-')
  if [ "$namespace_phase" = Terminating ]; then
    fail state "namespace $ours is being deleted" "Wait until it is gone: kubectl get namespace $ours"
  elif [ -n "$kept_api" ] && [ "$kept_api" != "$api_url" ]; then
    fail state "this cluster was connected by $kept_api" \
      "Disconnect it first, with install.sh --uninstall of that control plane; if it has only moved here: kubectl patch configmap cattery-install -n $ours --type=merge -p '{\"data\":{\"apiUrl\":\"$api_url\"}}'"
  elif [ "$action" = renew ] && { [ -z "$stored_token" ] || [ -z "$cluster_id" ]; }; then
    fail state 'this cluster was not connected by install.sh, or not completely' 'Run without --renew first.'
  elif [ "$action" = install ] && { [ -n "$retiring" ] || case $identity in *' next.key '*) ;; *) false ;; esac; }; then
    fail state 'a renewal of the certificate was interrupted' 'Finish it: run again with --renew.'
  elif [ -n "$state_kept" ]; then
    ok state "kept in $ours${kept_name:+: cluster $kept_name}${cluster_id:+, $cluster_id}"
  else
    ok state "not connected by this script so far$([ "$action" != install ] || echo "; its name will be $name (--name)")"
  fi
  check_other_connection
}

check_other_connection() {
  [ "$action" = install ] || return 0
  read_kube calico get crd installations.operator.tigera.io --ignore-not-found -o name || return 0
  crds=$found
  [ -n "$crds" ] || return 0
  read_kube connection get managementclusterconnections.operator.tigera.io tigera-secure --ignore-not-found \
    -o 'jsonpath={.spec.managementClusterAddr}' || return 0
  if [ -z "$found" ] || [ "$state_kept-$found" = "cattery-install-$tunnel_address" ]; then
    return 0
  elif [ -n "$state_kept" ]; then
    warn connection "it goes from $found to $tunnel_address" 'If the former is not this control plane under another address, disconnect it there first.'
  elif [ "$found" = "$tunnel_address" ]; then
    fail connection 'this cluster is connected to this control plane, but not by install.sh' \
      "To leave it so, do nothing. To connect it anew: kubectl delete managementclusterconnection tigera-secure && kubectl delete secret tigera-managed-cluster-connection -n $theirs; then disconnect it in Cattery."
  else
    fail connection "this cluster is connected to another control plane, $found" \
      'Disconnect it there first; if that is gone for good: kubectl delete managementclusterconnection tigera-secure'
  fi
}

# Whether Calico is to be installed ($calico=install) or is here ($calico=present), and what it lacks.
check_calico() {
  installation=''
  if [ -n "$crds" ]; then
    read_kube calico get installations.operator.tigera.io default --ignore-not-found \
      -o 'jsonpath={.metadata.name}|{.spec.variant}|{.status.calicoVersion}|{.spec.fipsMode}' || return 0
    installation=$found
  fi
  read_kube calico get deployment tigera-operator -n $theirs --ignore-not-found \
    -o 'jsonpath={.spec.template.spec.containers[0].image}' || return 0
  operator_image=$found
  operator_version=$(printf '%s' "$operator_image" | sed -n 's/^.*:\(v[0-9][^@]*\).*$/\1/p')
  if [ "$calico_installed" = begun ]; then
    [ -z "$release" ] || [ "$release" = "$kept_release" ] ||
      fail calico "the installation of $kept_release has begun here" "Finish it first: run again without --calico-version $release."
    release=$kept_release
    choose_release
  elif [ -n "$installation" ]; then
    check_present_calico
  elif [ -n "$operator_image" ]; then
    fail calico "the Tigera operator ($operator_image) is here, but no Installation" \
      'Make an Installation named default with it, or remove the operator: this script installs it with Calico.'
  else
    choose_release
  fi
}

choose_release() {
  calico=install
  if [ -z "$release" ]; then
    call GET /v1/releases || return 0 # check_api has said so
    release=$(field 'items[0].version')
  fi
  case $release in v[0-9]*) ;; [0-9]*) release=v$release ;; esac
  case $release in '' | *[!0-9a-z.-]*) status=404 ;; *) call GET "/v1/releases/$release" || return 0 ;; esac
  [ "$status" = 200 ] || {
    offer='' index=0
    call GET /v1/releases || :
    while each=$(field "items[$index].version") && [ -n "$each" ]; do offer="$offer $each" index=$((index + 1)); done
    fail calico "$release is not on offer" "On offer:$offer"
    return 0
  }
  release_answer=$answer
  calico_version=$release
  operator_version=$(field operatorVersion)
  if [ "$calico_installed" = begun ]; then
    ok calico "the installation of $release has begun, and goes on"
  else
    ok calico "none; $release will be installed, by operator $operator_version"
  fi
  check_range
}

# What upstream has tested is a narrow range; outside of it Calico works more often than not.
check_range() {
  least=$(field kubernetes.min) most=$(field kubernetes.max)
  [ -n "$least" ] && [ -n "$most" ] || return 0
  minor=$(printf '%s' "$kubernetes_version" | sed 's/^v\([0-9]*\.[0-9]*\).*$/\1/')
  if older "$minor" "$least" || older "$most" "$minor"; then
    warn kubernetes "Calico $release is tested by its makers with Kubernetes $least to $most, not with $minor" 'It mostly works; know it when something does not.'
  fi
}

check_present_calico() {
  calico=present
  IFS='|' read -r _ variant calico_version fips <<INSTALLATION
$installation
INSTALLATION
  [ -z "$release" ] || [ "$release" = "$calico_version" ] ||
    warn calico "--calico-version $release is not heeded: Calico ${calico_version:-} is here" 'This script does not upgrade.'
  case $variant in '' | Calico) ;; *)
    fail calico "the Installation is of variant $variant" 'Only open-source Calico is connected by this script.'
    return 0
    ;;
  esac
  if [ -z "$operator_image" ]; then
    fail calico "an Installation is here, but no operator in namespace $theirs" "Guardian's Secrets are read from namespace $theirs: run the operator there."
  elif [ -z "$calico_version" ]; then
    fail calico 'its operator has not finished installing it' 'Wait until this says so: kubectl get tigerastatus calico'
  elif older "$calico_version" $oldest_calico; then
    fail calico "$calico_version is too old" "Upgrade Calico to ${oldest_calico%.0} or later: $docs/operations/upgrading"
  elif ! older "$operator_version" v1.42.0 && older "$operator_version" v1.42.3; then
    fail calico "operator $operator_version closes Guardian's way out of the cluster" 'Upgrade Calico to v3.32.1, whose operator is v1.42.3.'
  else
    ok calico "$calico_version, operator ${operator_version:-of unknown version}"
  fi
  look_at_states
  [ -z "$ailing" ] || warn calico "its operator says $ailing" 'The connection may not come up before that is repaired.'
  for kind in APIServer Goldmane Whisker; do
    present=$(kube get "$(plural $kind)" -o name 2>"$work/err") || case $(complaint) in
      *orbidden*) present='?' ;;
      *"doesn't have a resource type"*) ;;
      *) fail calico "whether there is a $kind cannot be read: $(complaint)" "$again" ;;
      esac
    [ -n "$present" ] || lacking="$lacking $kind"
  done
  [ -z "$lacking" ] || ok calico "will be added for the connection, each named default:$lacking"
  [ -z "$registry$image_path$pull_secret$https_of$http_of$no_proxy_of$pod_cidr" ] ||
    warn calico 'options for registry, proxy and pod network are not heeded where Calico is' \
      "Patch the Installation: curl '$api_url/v1/install/installation-patch?registry=...'"
}

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }
plural() { printf '%ss.operator.tigera.io' "$(lower "$1")"; }

# The address range of the pods, and whether another network is here.
check_network() {
  [ "$calico" = install ] || return 0
  [ -n "$pod_cidr" ] || pod_cidr=$(kube get configmap kubeadm-config -n kube-system -o 'jsonpath={.data.ClusterConfiguration}' 2>/dev/null |
    sed -n 's/^ *podSubnet: *"\{0,1\}\([0-9a-f.:/]*\).*$/\1/p') || pod_cidr=''
  pod_cidr=${pod_cidr:-192.168.0.0/16}
  ok network "pods get addresses of $pod_cidr (--pod-cidr)"
  [ "$calico_installed" != begun ] || return 0
  sets=$(kube get daemonsets -A -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}' 2>"$work/err") ||
    warn network "it cannot be seen whether another one is here: $(complaint)" 'Two networks of pods in one cluster break each other.'
  other=${flannel:+Flannel}
  for each in $sets; do
    case $each in
    kube-system/calico-node) other="Calico without its operator ($each)" ;;
    */canal) other="Canal ($each)" ;;
    */cilium | */anetd) other="Cilium ($each)" ;;
    */kube-flannel*) other="Flannel ($each)" ;;
    */weave-net) other="Weave Net ($each)" ;;
    */kindnet) other="kind's own ($each)" ;;
    */aws-node) other="Amazon VPC CNI ($each)" ;;
    */azure-cni* | */azure-cns | */azure-npm) other="Azure CNI ($each)" ;;
    */antrea-agent) other="Antrea ($each)" ;;
    */ovnkube-node) other="OVN-Kubernetes ($each)" ;;
    */kube-ovn-cni) other="Kube-OVN ($each)" ;;
    */kube-router) other="kube-router ($each)" ;;
    openshift-sdn/sdn) other="OpenShift SDN ($each)" ;;
    esac
  done
  case $other in
  '') ok network 'no other one' ;;
  Calico*) fail network "$other" "Let the operator take it over first: $docs/operations/operator-migration" ;;
  kind*) fail network "$other" 'Make the kind cluster with networking.disableDefaultCNI: true' ;;
  Amazon* | Azure*) fail network "$other" "Install Calico as your platform wants it, then run this again: $docs/getting-started/kubernetes/managed-public-cloud/" ;;
  *) fail network "$other" "Calico would be a second one. Move to Calico first, or use a cluster without: $docs/getting-started/kubernetes/" ;;
  esac
}

# Registry, pull secret and proxy become a patch of the Installation, made and checked by the control plane.
check_images() {
  [ "$calico" = install ] || return 0
  query=''
  ask registry "$registry"
  ask imagePath "$image_path"
  ask imagePullSecret "$pull_secret"
  ask httpsProxy "$https_of"
  ask httpProxy "$http_of"
  ask noProxy "$no_proxy_of"
  [ -n "$query" ] || return 0
  call GET "/v1/install/installation-patch?${query#&}" || return 0
  if [ "$status" = 200 ]; then
    installation_patch=$answer
    ok images "${registry:-quay.io}${image_path:+/$image_path}${pull_secret:+ with pull secret $pull_secret}${https_of:+, proxy $https_of}"
  else
    fail images "$(field title): $(field 'errors[0].path') $(field 'errors[0].message')" 'Correct the option.'
  fi
  [ -n "$pull_secret" ] && [ -z "$pull_secret_file" ] || return 0
  present=$(kube get secret "$pull_secret" -n $theirs -o name 2>/dev/null) || present=''
  [ -n "$present" ] || fail images "there is no Secret $theirs/$pull_secret" \
    'Make it there (and the namespace), or give its content with --image-pull-secret-file FILE.'
}
ask() {
  [ -z "$2" ] || query="$query&$1=$(printf '%s' "$2" | sed 's/%/%25/g; s/&/%26/g; s/+/%2B/g; s/ /%20/g; s/#/%23/g; s/?/%3F/g')"
}

# The rights for what will be done, each by verb and name: narrow roles have named rights only.
check_rights() {
  if kube auth can-i '*' '*' --all-namespaces >/dev/null 2>&1; then
    ok rights 'everything'
    return
  fi
  missing=''
  while read -r verbs thing namespace; do
    denied=''
    for verb in $(printf '%s' "$verbs" | tr ',' ' '); do
      may "$verb" "$thing" "$namespace" || denied="$denied${denied:+,}$verb"
    done
    [ -z "$denied" ] || missing="$missing; $denied $thing${namespace:+ in $namespace}"
  done <<RIGHTS
$(needed_rights)
RIGHTS
  if [ -z "$missing" ]; then
    ok rights 'all that this needs'
  else
    fail rights "missing: ${missing#; }" "Run it as somebody with these rights, or let an administrator grant them${place:+ to the user of context $place}."
  fi
}
# can-i knows only kinds that are served: before there are CRDs, it would ask about something else of that name.
may() {
  case $crds-$2 in
  -*.operator.tigera.io/*)
    printf '{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"%s","group":"operator.tigera.io","resource":"%s","name":"%s"}}}' \
      "$1" "${2%%.*}" "${2#*/}" | kube create --raw /apis/authorization.k8s.io/v1/selfsubjectaccessreviews -f - 2>/dev/null | grep -q '"allowed":true'
    ;;
  *) kube auth can-i "$1" "$2" ${3:+-n "$3"} >/dev/null 2>&1 </dev/null ;;
  esac
}
needed_rights() {
  case $action in
  renew) printf '%s\n' "get,patch secrets/cattery-identity $ours" "get,patch configmaps/cattery-install $ours" \
    "get,patch secrets/tigera-managed-cluster-connection $theirs" ;;
  uninstall)
    printf '%s\n' "get,delete namespaces/$ours" 'get,delete managementclusterconnections.operator.tigera.io/tigera-secure' \
      "delete secrets/tigera-managed-cluster-connection $theirs" "delete secrets/tigera-voltron-linseed-certs-public $theirs" \
      "delete secrets/calico-voltron-linseed-certs-public $theirs" \
      'list,delete clusterroles.rbac.authorization.k8s.io' 'list,delete clusterrolebindings.rbac.authorization.k8s.io'
    for kind in $(printf '%s' "$created" | tr ',' ' '); do echo "delete $(plural "$kind")/default"; done
    ;;
  install)
    printf '%s\n' "get,create,patch configmaps/cattery-install $ours" "get,create,patch secrets/cattery-identity $ours"
    [ -n "$namespace_phase" ] || echo "create,patch namespaces/$ours"
    printf '%s\n' "get,create,patch secrets/tigera-managed-cluster-connection $theirs" \
      "create,patch secrets/tigera-voltron-linseed-certs-public $theirs" "create,patch secrets/calico-voltron-linseed-certs-public $theirs" \
      'create,patch managementclusterconnections.operator.tigera.io/tigera-secure' 'get tigerastatuses.operator.tigera.io/calico'
    kinds=$lacking
    if [ "$calico" = install ]; then
      kinds='Installation APIServer Goldmane Whisker'
      printf '%s\n' "create,patch namespaces/$theirs" 'get,list,watch,create,patch customresourcedefinitions.apiextensions.k8s.io/installations.operator.tigera.io' \
        "create,patch serviceaccounts/tigera-operator $theirs" "get,list,watch,create,patch deployments.apps/tigera-operator $theirs" \
        "create,patch rolebindings.rbac.authorization.k8s.io/tigera-operator-secrets $theirs" \
        'create,patch,escalate clusterroles.rbac.authorization.k8s.io/tigera-operator' 'create,patch clusterrolebindings.rbac.authorization.k8s.io/tigera-operator'
    fi
    for kind in $kinds; do echo "create,patch $(plural "$kind")/default"; done
    ;;
  esac
}

# P-256 and SHA-256 are FIPS-approved, so nothing is to be changed for it; whoever needs it wants to read that.
check_fips() {
  [ "$action" != uninstall ] || return 0
  here=$(cat /proc/sys/crypto/fips_enabled 2>/dev/null) || here=0
  ok fips "Calico ${fips:-Disabled}, this machine $([ "$here" = 1 ] && echo Enabled || echo Disabled); the key is P-256, which FIPS 140 approves"
}

# ---- install: key, registration ----------------------------------------------------------------------------------

install_cluster() {
  step=key
  keep_state
  case $identity in
  *' managed-cluster.key '*) say 'Key: the one that is kept in the cluster' ;;
  *)
    say 'Key: made here, kept in the cluster'
    make_key
    ;;
  esac
  step=registration
  say "Registration as $name"
  outcome='done'
  if known; then
    outcome=skipped
    [ -z "$kept_name" ] || name=$kept_name
    say "    registered before: $name, $cluster_id${token:+ (the token was not used)}"
  else
    [ -z "$gone" ] || replace_key
    register
  fi
  report preflight 'done'
  report key 'done'
  report registration $outcome
  if [ "$calico" = install ]; then
    install_calico
  else
    for step in crds operator; do report $step skipped "Calico $calico_version was here."; done
    complete_calico
  fi
  connect
}

keep_state() {
  [ -n "$namespace_phase" ] || printf '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"%s",%s}}' $ours "$label" |
    apply || broken "Namespace $ours cannot be made"
  [ -n "$state_kept" ] || printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"%s","name":"cattery-install",%s},"data":{"apiUrl":"%s"}}' \
    $ours "$label" "$api_url" | apply || broken "ConfigMap $ours/cattery-install cannot be made"
  remember attempt "$attempt" step key
}

# Whoever makes the key first wins: another run's field manager is another, so that the API server refuses the second.
make_key() {
  new_key | secret_of $ours cattery-identity managed-cluster.key |
    kube apply --server-side --field-manager="cattery-$attempt" -f - >"$work/out" 2>"$work/err" ||
    grep -qi conflict "$work/err" || broken "Secret $ours/cattery-identity cannot be made"
}

# The control plane has forgotten this cluster: another registration wants another key, in the place of exactly this one.
replace_key() {
  new_key | patch_of "{\"metadata\":{\"resourceVersion\":\"$identity_version\"},\"data\":{\"token\":null,\"next.key\":null,\"managed-cluster.key\":" '}}' |
    patch_secret $ours cattery-identity || broken 'The key cannot be replaced'
  cluster_id=''
  remember clusterId '' clusterName ''
}

# Whether the control plane knows this cluster by its stored credential. Ends when it has disconnected it and no token is given.
known() {
  gone=''
  [ -n "$stored_token" ] && [ -n "$cluster_id" ] || return 1
  insist GET "/v1/clusters/$cluster_id" "$stored_token"
  case $status in
  200)
    cluster_token=$stored_token
    kept_name=$(field clusterName)
    expiry=$(sed -n 's/^[Cc]attery-[Cc]ertificate-[Ee]xpires: *//p' "$work/headers" | tr -d '\r')
    [ -z "$expiry" ] || [ "$action" = renew ] || say "    its certificate ends on $expiry: run with --renew before"
    ;;
  401 | 404)
    gone=1
    [ -n "$token" ] || die 4 CLUSTER_DISCONNECTED "The control plane has disconnected this cluster ($cluster_id)." \
      'To connect it anew, make a registration token and run again with it.'
    say "    the control plane has disconnected $cluster_id: it is registered anew, with a new key"
    return 1
    ;;
  *) refused 'The control plane does not show this cluster' ;;
  esac
}

register() {
  request_for managed-cluster.key
  body="{\"clusterName\":\"$name\",\"csr\":$(quote "$csr"),\"cluster\":{\"kubernetesVersion\":$(quote "$kubernetes_version"),\"calicoVersion\":$(quote "$calico_version"),\"distribution\":\"$distribution\",\"nodeCount\":$nodes}}"
  insist POST /v1/registrations "$token" "$body"
  if [ "$status" != 201 ]; then
    # Another run may have been first, with the same key, and has kept what it got.
    (recall && known) >/dev/null 2>&1 3>&1 4>&1 || refused "The registration as $name was refused"
    if recall && known; then return 0; fi
    broken 'What another run has registered cannot be read'
  fi
  cluster_id=$(field clusterId)
  stored_token=$(field clusterToken)
  case $cluster_id:$stored_token in :* | *: | *:*[!A-Za-z0-9_-]* | *[!a-z0-9-]*:*) refused 'This is no answer to a registration' ;; esac
  # The token last: what has a token is registered, and nothing else is.
  remember clusterId "$cluster_id" clusterName "$name" step registration
  printf '%s' "$stored_token" | openssl base64 -A | patch_of '{"data":{"token":' '}}' | patch_secret $ours cattery-identity ||
    broken "The cluster's credential cannot be kept"
  cluster_token=$stored_token
  say "    $cluster_id"
}

# ---- install: Calico ---------------------------------------------------------------------------------------------

# fetch NAME: a manifest of the release into $work, verified by what the control plane says of it.
fetch() {
  index=0 sum=''
  while entry=$(printf '%s\n' "$release_answer" | json "manifests[$index].name") && [ -n "$entry" ]; do
    [ "$entry" != "$1" ] || sum=$(printf '%s\n' "$release_answer" | json "manifests[$index].sha256")
    index=$((index + 1))
  done
  [ -n "$sum" ] || die 4 MANIFEST_UNKNOWN "The control plane does not know $1 of $release." 'Report this to whoever runs it.'
  source=$api_url/v1/releases/$release/manifests/$1
  elsewhere=$(download "$source" ${ca_file:+--cacert "$ca_file"}) || not_downloaded "$source"
  # Where it is not mirrored, the answer is a redirect: to a host that --ca-file says nothing about.
  [ -z "$elsewhere" ] || download "$elsewhere" --location >/dev/null ||
    { [ -n "$ca_file" ] && download "$elsewhere" --location --cacert "$ca_file" >/dev/null; } ||
    not_downloaded "${elsewhere%%\?*}"
  [ "$(openssl dgst -sha256 "$work/$1" | awk '{ print $NF }')" = "$sum" ] ||
    die 4 MANIFEST_CHANGED "$1 of $release is not the file that was released: its SHA-256 is not $sum." "Nothing of it was applied. Is something between that changes downloads? $again"
}

# download URL OPTION...: prints where to go on, if it is not there.
download() {
  url=$1
  shift
  curl -q --globoff --proto =http,https --silent --show-error --fail --retry 2 --connect-timeout 10 --max-time 300 --output "$work/${source##*/}" --write-out '%{redirect_url}' \
    "$@" "$url" 2>"$work/curl" || {
    code=$?
    echo $code >"$work/code"
    return $code
  }
}

not_downloaded() {
  explain_curl "$(cat "$work/code")" "$1"
  die 4 DOWNLOAD_FAILED "$trouble" "$cure $again"
}

install_calico() {
  begin crds "Calico $release: custom resource definitions"
  remember calicoInstalled begun calicoVersion "$release"
  fetch operator-crds.yaml
  apply "$work/operator-crds.yaml" || broken 'The custom resource definitions were not taken'
  await 'custom resource definitions' crds_established 'See: kubectl get crd.'
  done_with
  begin operator "Calico $release: operator $operator_version"
  fetch tigera-operator.yaml
  make_pull_secret
  operator_manifest | apply || broken 'The operator was not taken'
  await 'the Tigera operator' operator_runs "See: kubectl describe pods -n $theirs."
  done_with
  begin calico "Calico $release: network, API server, Goldmane, Whisker"
  fetch custom-resources.yaml
  await 'custom resources' make_custom_resources 'See: kubectl get crd.'
  await 'Calico' calico_runs 'See: kubectl get tigerastatus.'
  remember calicoInstalled yes
  done_with
}

crds_established() {
  kube wait --for=condition=Established --timeout=5s crd/installations.operator.tigera.io crd/apiservers.operator.tigera.io \
    crd/goldmanes.operator.tigera.io crd/whiskers.operator.tigera.io crd/managementclusterconnections.operator.tigera.io \
    crd/tigerastatuses.operator.tigera.io >"$work/out" 2>"$work/err" || held_up
}

make_pull_secret() {
  [ -n "$pull_secret_file" ] || return 0
  printf '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"%s"}}' $theirs | apply || broken "Namespace $theirs cannot be made"
  openssl base64 -A -in "$pull_secret_file" | secret_of $theirs "$pull_secret" .dockerconfigjson |
    sed 's/"Opaque"/"kubernetes.io\/dockerconfigjson"/' | apply || broken "Secret $theirs/$pull_secret cannot be made"
}

# The operator itself is pulled before there is an Installation that could say from where and with what.
operator_manifest() {
  set -- -e "s|image: quay.io/tigera/|image: ${registry:-quay.io}/${image_path:-tigera}/|"
  [ -z "$pull_secret" ] || set -- "$@" -e '/^imagePullSecrets:/{n;s/\[\]/- name: '"$pull_secret/;}"
  sed "$@" "$work/tigera-operator.yaml"
}
operator_runs() {
  kube rollout status deployment/tigera-operator -n $theirs --timeout=5s >"$work/out" 2>"$work/err" || held_up
}

# documents KIND...: those of the YAML on standard input.
documents() {
  awk -v kinds=" $* " 'function flush() { if (kind != "" && index(kinds, " " kind " ")) printf "%s---\n", text; text = ""; kind = "" }
    /^---/ { flush(); next } { text = text $0 "\n" } /^kind:/ { kind = $2 } END { flush() }'
}
custom_resources() { # KIND...
  case " $* " in *' Installation '*)
    documents Installation <"$work/custom-resources.yaml" | sed "s|cidr: 192.168.0.0/16|cidr: $pod_cidr|" |
      if [ -n "$installation_patch" ]; then kubectl patch --local -f - --type=merge -p "$installation_patch" -o yaml && echo ---; else cat; fi || return 1
    ;;
  esac
  documents APIServer Goldmane Whisker <"$work/custom-resources.yaml" | documents "$@"
}
# Only those that are not there: from their making on they are the operator's and the user's.
make_custom_resources() {
  wanted=''
  for kind in Installation APIServer Goldmane Whisker; do
    present=$(kube get "$(plural $kind)" default --ignore-not-found -o name 2>"$work/err") || not_served || return 1
    [ -n "$present" ] || wanted="$wanted $kind"
  done
  [ -n "$wanted" ] || return 0
  # shellcheck disable=SC2086 # a list of words
  custom_resources $wanted >"$work/wanted.yaml" 2>"$work/err" || broken 'The custom resources cannot be written'
  apply "$work/wanted.yaml" || not_served
}
# Right after its CRD is established, a kind may not be served yet.
not_served() {
  waiting=$(complaint)
  case $waiting in *'no matches for kind'* | *"doesn't have a resource type"* | *'could not find the requested resource'*) return 1 ;; esac
  broken 'The custom resources were not taken'
}
calico_runs() {
  look_at_states
  [ -n "$states" ] || held_up || :
  waiting="available so far:${available% }"
  [ "$available" != ' ' ] || waiting='its operator has not reported anything available yet'
  for part in calico apiserver goldmane whisker; do case $available in *" $part "*) ;; *) return 1 ;; esac done
}

# Where Calico is: what a connection needs and is not there. Its name is kept before it is made, and it bears our label:
# --uninstall takes away only what has both.
complete_calico() {
  step=calico
  [ -n "$lacking" ] || {
    report calico skipped "Calico $calico_version was here, with all that is needed."
    return 0
  }
  begin calico "Calico $calico_version lacks for the connection, and gets:$lacking"
  for kind in $lacking; do
    case ",$created," in *",$kind,"*) ;; *) created="$created${created:+,}$kind" ;; esac
  done
  remember created "$created" calicoInstalled "${calico_installed:-no}" calicoVersion "$calico_version"
  for kind in $lacking; do
    present=$(kube get "$(plural "$kind")" -o name 2>"$work/err") || broken "Whether there is a $kind cannot be read"
    [ -z "$present" ] || continue # somebody's since the preflight, or of an earlier run
    printf '{"apiVersion":"operator.tigera.io/v1","kind":"%s","metadata":{"name":"default",%s}%s}' "$kind" "$label" \
      "$([ "$kind" != APIServer ] || printf ',"spec":{}')" | apply || broken "$kind default cannot be made"
  done
  await 'what was added' additions_run 'See: kubectl get tigerastatus.'
  done_with
}
additions_run() {
  look_at_states
  waiting='not available yet'
  for kind in $lacking; do
    case $available in *" $(lower "$kind") "*) ;; *) return 1 ;; esac
  done
}

# ---- install: connection -----------------------------------------------------------------------------------------

connect() {
  begin connection 'Connection: trust, certificate, key, address'
  insist GET "/v1/clusters/$cluster_id/manifest" "$cluster_token"
  [ "$status" = 200 ] || refused 'The connect manifest was refused'
  case $answer in *ManagementClusterConnection*) ;; *) die 4 MANIFEST_UNKNOWN 'The control plane answered with something else than the connect manifest.' "$again" ;; esac
  # The key before the connection that it is for: the operator then never sees a Secret without one. A patch where the
  # Secret is there: an apply of the key alone could take away what was once applied from a client.
  put_key || broken "The key cannot be put into Secret $theirs/tigera-managed-cluster-connection"
  printf '%s\n' "$answer" | apply || broken 'The connect manifest was not taken'
  done_with
  begin tunnel "Tunnel: waiting until the control plane sees it"
  await 'the tunnel' connected "See: kubectl get tigerastatus management-cluster-connection; kubectl logs -n calico-system deployment/guardian. The nodes must reach $tunnel_address."
  look_at_states
  remember step 'done'
  done_with
  say "Connected: $name ($cluster_id). Its certificate is valid until $(field certificate.notAfter); renew it before with --renew."
}

put_key() {
  kept_key managed-cluster.key | patch_of '{"data":{"managed-cluster.key":' '}}' | patch_secret $theirs tigera-managed-cluster-connection && return
  grep -q 'NotFound' "$work/err" || return 1
  kept_key managed-cluster.key | secret_of $theirs tigera-managed-cluster-connection managed-cluster.key |
    kube apply --server-side --field-manager=cattery-key -f - >"$work/out" 2>"$work/err"
}

connected() {
  call GET "/v1/clusters/$cluster_id" "$cluster_token" || {
    waiting=$trouble
    return 1
  }
  waiting="the control plane says $(field state)$(field code)"
  case $status in 401 | 404) refused 'The control plane has disconnected this cluster meanwhile' ;; esac
  [ "$(field state)" = connected ]
}

# --dry-run: the manifests on standard output, and what cannot be known before on standard error.
show_plan() {
  if [ "$calico" = install ]; then
    echo "# Calico $release: $api_url/v1/releases/$release/manifests/operator-crds.yaml (32 CRDs, about 3 MB, not repeated here)"
    for file in tigera-operator.yaml custom-resources.yaml; do fetch $file; done
    echo '---'
    operator_manifest
    echo '---'
    custom_resources Installation APIServer Goldmane Whisker
  else
    for kind in $lacking; do
      printf -- '---\napiVersion: operator.tigera.io/v1\nkind: %s\nmetadata:\n  name: default\n  labels:\n    app.kubernetes.io/managed-by: cattery\n' "$kind"
    done
  fi
  cat <<PLAN
---
# Made with the registration, so that their content cannot be known before:
# Secrets $theirs/tigera-managed-cluster-connection (certificate, key, trust), $theirs/tigera-voltron-linseed-certs-public and
# $theirs/calico-voltron-linseed-certs-public (trust in the log endpoint), $ours/cattery-identity (key, the cluster's credential),
# ConfigMap $ours/cattery-install (state of this script).
apiVersion: v1
kind: Namespace
metadata:
  name: $ours
  labels:
    app.kubernetes.io/managed-by: cattery
---
apiVersion: operator.tigera.io/v1
kind: ManagementClusterConnection
metadata:
  name: tigera-secure
spec:
  managementClusterAddr: $tunnel_address
  tls:
    ca: Tigera
PLAN
  say 'Nothing was changed and nothing registered. Whether the token is good, and the name free, only a registration tells.'
}

# ---- renewal -----------------------------------------------------------------------------------------------------

# The new key beside the old one, a certificate for it, both into the operator's Secret, the tunnel with them; only then
# is the new key the cluster's, and the old certificate retired. A run that was stopped anywhere is finished by the next.
renew() {
  step=key
  known || die 4 CLUSTER_DISCONNECTED "The control plane has disconnected this cluster ($cluster_id)." 'Connect it anew with a new registration token.'
  remember attempt "$attempt"
  report preflight 'done'
  case $identity in
  *' next.key '*) say 'Key: the one of the interrupted renewal' ;;
  *) if [ -n "$retiring" ]; then
    retire
    return 0
  else
    say 'Key: a new one, made here, kept in the cluster'
    new_key | patch_of "{\"metadata\":{\"resourceVersion\":\"$identity_version\"},\"data\":{\"next.key\":" '}}' |
      patch_secret $ours cattery-identity || broken 'The new key cannot be kept'
  fi ;;
  esac
  report key 'done'
  begin certificate 'Certificate: requested with proof of the current key'
  if [ -z "$retiring" ]; then
    retiring=$(kube get secret tigera-managed-cluster-connection -n $theirs -o 'jsonpath={.data.managed-cluster\.crt}' 2>"$work/err" |
      openssl base64 -d -A | openssl x509 -noout -fingerprint -sha256 2>/dev/null | sed 's/^.*=//' | tr -d ':' | tr 'A-F' 'a-f') || retiring=''
    [ ${#retiring} = 64 ] || die 1 CONNECTION_INCOMPLETE "Secret $theirs/tigera-managed-cluster-connection has no certificate." 'Run without --renew first.'
  fi
  request_for next.key
  prove
  insist POST "/v1/clusters/$cluster_id/certificates" "$cluster_token" "{\"csr\":$(quote "$csr"),\"proof\":\"$proof\"}"
  [ "$status" = 201 ] || [ "$status" = 200 ] || refused 'The renewal was refused'
  fingerprint=$(field fingerprint)
  certificate=$(field certificate | openssl base64 -A)
  [ -n "$fingerprint" ] && [ -n "$certificate" ] || refused 'The renewal gave no certificate'
  # With another run ahead of this one, the certificate that is there is the new one already: it must not be retired.
  [ "$retiring" != "$fingerprint" ] || die 1 ANOTHER_RUN 'Another run renews this certificate.' "Let it end. $again"
  remember retiring "$retiring"
  done_with
  begin secret 'Certificate and key: into the operator'"'"'s Secret, both at once'
  kept_key next.key | patch_of "{\"data\":{\"managed-cluster.crt\":\"$certificate\",\"managed-cluster.key\":" '}}' |
    patch_secret $theirs tigera-managed-cluster-connection || broken "Secret $theirs/tigera-managed-cluster-connection cannot be changed"
  done_with
  begin tunnel 'Tunnel: waiting until it comes with the new certificate'
  await 'the tunnel with the new certificate' connected_anew 'See: kubectl logs -n calico-system deployment/guardian.'
  kept_key next.key | patch_of '{"data":{"next.key":null,"managed-cluster.key":' '}}' | patch_secret $ours cattery-identity ||
    broken 'The new key cannot be kept'
  done_with
  retire
}

# A compact JWS (RFC 7515) by the current key: openssl gives the two numbers of a signature as DER, JWS wants them bare.
prove() {
  sum=$(printf '%s' "$csr" | openssl dgst -sha256 | awk '{ print $NF }')
  proof=$(printf '{"alg":"ES256"}' | base64url).$(printf '{"sub":"%s","iat":%d,"csr_sha256":"%s"}' "$cluster_id" $(($(now) + skew)) "$sum" | base64url)
  printf '%s' "$proof" >"$work/unsigned"
  signature=$(kept_key managed-cluster.key | openssl base64 -d -A | openssl dgst -sha256 -sign /dev/stdin "$work/unsigned" 2>/dev/null |
    openssl asn1parse -inform DER 2>/dev/null | awk '
      /INTEGER/ { sub(/^.*:/, ""); while (length($0) < 64) $0 = "0" $0; all = all $0 }
      END {
        if (length(all) != 128) exit
        all = all "0"; letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for (i = 1; i < 129; i += 3) {
          bits = 0
          for (j = i; j < i + 3; j++) bits = bits * 16 + index("0123456789ABCDEF", substr(all, j, 1)) - 1
          printf "%s%s", substr(letters, int(bits / 64) + 1, 1), substr(letters, bits % 64 + 1, 1)
        }
      }') || signature=''
  [ ${#signature} = 86 ] || die 1 KEY_UNUSABLE "The current key in Secret $ours/cattery-identity cannot sign: it is no P-256 key, or openssl failed." "$again"
  proof=$proof.$signature
}
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

connected_anew() {
  connected || return 1
  waiting="the tunnel still uses the certificate $(field certificate.connected)"
  [ "$(field certificate.connected)" = "$fingerprint" ]
}

retire() {
  begin retire 'The old certificate: retired'
  await 'the old certificate to be out of use' retired 'See: kubectl logs -n calico-system deployment/guardian.'
  remember retiring '' step 'done'
  call GET "/v1/clusters/$cluster_id" "$cluster_token" || :
  done_with
  say "Renewed: $name ($cluster_id). Its certificate is valid until $(field certificate.notAfter)."
}
retired() {
  call DELETE "/v1/clusters/$cluster_id/certificates/$retiring" "$cluster_token" || {
    waiting=$trouble
    return 1
  }
  waiting="the control plane says $status $(field code)"
  case $status-$(field code) in 204-* | 200-* | 404-*) ;; 5*-* | 429-* | *-CERTIFICATE_IN_USE | *-CONFLICT) return 1 ;; *) refused 'The old certificate was not retired' ;; esac
}

# ---- uninstall ---------------------------------------------------------------------------------------------------

# The connection first, so that nothing dials any more; the state last, so that a run that was stopped can be repeated.
uninstall() {
  [ -n "$state_kept" ] || [ -n "$namespace_phase" ] || {
    say 'Nothing of this script is in the cluster.'
    return 0
  }
  cluster_token=$stored_token
  begin connection 'Connection: removed'
  found=$(kube get managementclusterconnections.operator.tigera.io tigera-secure --ignore-not-found -o 'jsonpath={.spec.managementClusterAddr}' 2>"$work/err") ||
    case $(complaint) in *"doesn't have a resource type"*) ;; *) broken 'The connection cannot be read' ;; esac
  case $found in
  "$tunnel_address") remove managementclusterconnections.operator.tigera.io tigera-secure ;;
  ?*) say "    the connection to $found is not this control plane's: it stays" ;;
  esac
  case $found in '' | "$tunnel_address")
    remove secret tigera-managed-cluster-connection tigera-voltron-linseed-certs-public calico-voltron-linseed-certs-public -n $theirs
    ;;
  esac
  done_with
  begin registration "Registration: $([ -z "$cluster_id" ] && echo 'there is none' || echo "$cluster_id disconnected")"
  if [ -n "$stored_token" ] && [ -n "$cluster_id" ]; then
    insist DELETE "/v1/clusters/$cluster_id" "$stored_token"
    case $status in 2?? | 401 | 404) ;; *) refused 'The control plane did not disconnect the cluster' ;; esac
    cluster_token=''
  fi
  step=state
  for kind in $(printf '%s' "$created" | tr ',' ' '); do
    say "$kind default: removed, it was not here before"
    remove "$(plural "$kind")" --selector=app.kubernetes.io/managed-by=cattery
  done
  say "What was granted to Guardian by ?access=, and namespace $ours: removed"
  remove clusterrole,clusterrolebinding --selector=app.kubernetes.io/managed-by=cattery
  owner=$(kube get namespace $ours --ignore-not-found -o 'jsonpath={.metadata.labels.app\.kubernetes\.io/managed-by}' 2>"$work/err") ||
    broken "Namespace $ours cannot be read"
  if [ "$owner" = cattery ]; then
    remove namespace $ours
  else
    remove secret cattery-identity -n $ours
    remove configmap cattery-install -n $ours
  fi
  say "Disconnected. $([ -z "$calico_installed" ] || [ "$calico_installed" = no ] || echo 'Calico, which this script had installed, stays: the network of the pods is its work. ')"
}

remove() { # what kubectl delete wants
  kubectl ${context:+"--context=$context"} delete "$@" --ignore-not-found --timeout="${timeout}s" >"$work/out" 2>"$work/err" ||
    case $(complaint) in *"doesn't have a resource type"*) ;; *'timed out'*) die 5 TIMED_OUT "Not gone within $timeout seconds: $*" "$again" ;; *) broken "Cannot be removed: $*" ;; esac
}

# ------------------------------------------------------------------------------------------------------------------

main() {
  step=preflight ended='' work='' identity_version='' attempt='' sequence=0 patience=30 states='' ailing='' trouble='' cure='' gone=''
  cluster_token='' cluster_id='' stored_token='' kubernetes_version='' calico_version='' operator_version='' place=''
  exec 3>&1 4>&2
  options "$@"
  [ "$until" != dry-run ] || exec 3>&2
  trap 'finish $?' EXIT
  trap 'die 130 INTERRUPTED "Interrupted." "$again"' INT TERM HUP PIPE
  preflight
  attempt=$(openssl rand -hex 8)
  case $action-$until in
  *-check) say 'Nothing stands in the way. Nothing was changed.' ;;
  *-dry-run) show_plan ;;
  install-)
    [ -n "$token$stored_token" ] || {
      ended=1
      wrong 'this cluster is not registered yet: give a registration token with --token, --token-file or CATTERY_TOKEN'
    }
    confirm "Connect $place ($server) as $name to $api_url$([ "$calico" = present ] || echo ", and install Calico $release")?"
    install_cluster
    ;;
  renew-)
    confirm "Renew the certificate of $name in $place ($server)?"
    renew
    ;;
  uninstall-)
    confirm "Disconnect $name in $place ($server) and remove what install.sh added?"
    uninstall
    ;;
  esac
  ended=1
}

{ main "$@" </dev/null; }
