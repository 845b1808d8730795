#!/usr/bin/env bash
# Models from a server on loopback (python3's, where there is one): pull, verify, list; what is wrong on the way.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
command -v python3 >/dev/null || { FINISHED=1; echo "skipped: no python3 to serve files"; exit 77; }
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
starter="$EIDETIC_SOURCE/models/starter"
web="$TMP/web" models="$XDG_DATA_HOME/eidetic/models"

# A repository as Hugging Face serves it, out of the starter.
mkdir -p "$web/api/models/acme" "$web/acme/small/resolve/main"
cp "$starter/config.json" "$starter/vocab.txt" "$starter/model.safetensors" "$web/acme/small/resolve/main/"
files="$web/acme/small/resolve/main"
entry() { # name, whether its sum is known
    local sum
    sum=$(sha256sum "$files/$1" | cut -c 1-64)
    jq -n --arg n "$1" --argjson s "$(stat -c %s "$files/$1")" --arg h "$sum" --argjson lfs "$2" \
        '{rfilename: $n, size: $s} + (if $lfs then {lfs: {sha256: $h, size: $s}} else {} end)'
}
listing() { # what is listed, from the entries on stdin
    jq -s '{siblings: (. + [{rfilename: "README.md", size: 9}, {rfilename: "../../evil", size: 3}, {rfilename: "flax_model.msgpack", size: 9}])}' \
        >"$web/api/models/acme/small"
}
{ entry model.safetensors true; entry config.json false; entry vocab.txt false; } | listing
python3 -u -m http.server --bind 127.0.0.1 --directory "$web" 0 >"$TMP/server" 2>&1 &
for _ in $(seq 100); do grep -q "port" "$TMP/server" && break; sleep 0.1; done
port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$TMP/server" | head -1)
[ -n "$port" ] || { FINISHED=1; echo "skipped: no server on loopback"; exit 77; }
url="http://127.0.0.1:$port"

t "a repository comes with what is needed of it, and its size is said first"
eidetic model pull acme/small --base-url "$url" --json
assert_exit 0
assert_json '.path | endswith("/models/small")'
assert_json '[.files[].file] | index("model.safetensors") != null and index("README.md") == null and index("../../evil") == null'
assert_json '.files[0].sha256 | length == 64'
assert_true grep -q "MB, into" "$TMP/err"
assert_true cmp "$files/model.safetensors" "$models/small/model.safetensors"
assert_true test ! -e "$models/evil"
(cd "$models/small" && sha256sum --quiet -c SHA256SUMS) || fail "SHA256SUMS is not what sha256sum reads"

t "the model works, is listed with its numbers, and verified"
eidetic embed --model small --text "a dog" --json
assert_exit 0
eidetic model list --json
assert_exit 0
assert_true jq -se 'map(select(.name == "small"))[0] | .dim > 0 and .bytes > 0 and .images_per_second > 0' "$TMP/out"
eidetic model list --no-speed
assert_exit 0
assert_true grep -q "^small .* eidetic starter" "$TMP/out"
eidetic model verify small --json
assert_exit 0
assert_json '.ok and (.files | length) >= 2 and all(.files[]; .state == "ok")'

t "what is there already is not fetched again"
eidetic model pull acme/small --base-url "$url" --json
assert_exit 0
assert_json '.files | map(select(.file == "model.safetensors"))[0] | .resumed == .bytes'

t "a changed file is found"
printf 'x' >>"$models/small/model.safetensors"
eidetic model verify small
assert_exit 4
assert_true grep -q 'model.safetensors" has changed' "$TMP/out"

t "pulling again makes it whole"
eidetic model pull acme/small --base-url "$url" --quiet
assert_exit 0
eidetic model verify small
assert_exit 0

t "a file by its address, with its sum"
sum=$(sha256sum "$files/model.safetensors" | cut -c 1-64)
eidetic model pull "$url/acme/small/resolve/main/model.safetensors" --sha256 "$sum"
assert_exit 0
assert_true cmp "$files/model.safetensors" "$models/model.safetensors"
rm "$models/model.safetensors"
eidetic model pull "$url/acme/small/resolve/main/model.safetensors" --sha256 "${sum//[0-9]/0}"
assert_exit 4
assert_true test ! -e "$models/model.safetensors" -a ! -e "$models/model.safetensors.part"

t "a file that is not what the list says is refused"
printf 'y' >>"$files/model.safetensors"
rm "$models/small/model.safetensors"
eidetic model pull acme/small --base-url "$url"
assert_exit 4
assert_true test ! -e "$models/small/model.safetensors"

t "names and addresses that are none, models that are not there"
eidetic model pull small --base-url "$url"
assert_exit 2
eidetic model pull ../small/x --base-url "$url"
assert_exit 2
eidetic model pull "file:///etc/passwd"
assert_exit 2
eidetic model pull "$url/"
assert_exit 2
eidetic model pull acme/none --base-url "$url"
assert_exit 4
echo '{"siblings": 7}' >"$web/api/models/acme/odd"
eidetic model pull acme/odd --base-url "$url"
assert_exit 4
echo '{"siblings": [{"rfilename": "README.md"}]}' >"$web/api/models/acme/odd"
eidetic model pull acme/odd --base-url "$url"
assert_exit 4
assert_true grep -q "no weight file" "$TMP/err"
eidetic model pull acme/small --base-url "http://127.0.0.1:1"
assert_exit 4
done_testing
