#!/usr/bin/env bash
# Several programs at one library: two indexers and searches at once, and programs older and newer than the library.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
command -v sqlite3 >/dev/null || skip_all "sqlite3 is not installed"
for part in one two; do
    mkdir -p "$TMP/$part"
    for f in "$EIDETIC_SOURCE"/samples/photos/*.jpg; do
        for i in 1 2 3; do
            { cat "$f"; printf '%s%s' "$part" "$i"; } >"$TMP/$part/$i-${f##*/}"
        done
    done
done
cp "$EIDETIC_SOURCE"/samples/photos/*.jpg "$TMP/one/"

t "two indexers and searches at once: one waits or is told, no search fails, and nothing is lost or twice there"
rounds=$((FULL ? 10 : 2)) searches=0
for ((round = 1; round <= rounds; round++)); do
    rm -rf "$EIDETIC_LIBRARY"
    eidetic index --quiet "$EIDETIC_SOURCE/samples/photos"
    assert_exit 0
    "$EIDETIC" index --quiet --batch-size 2 "$TMP/one" 2>"$TMP/err1" &
    one=$!
    "$EIDETIC" index --quiet --batch-size 2 "$TMP/two" 2>"$TMP/err2" &
    two=$!
    while kill -0 $one 2>/dev/null || kill -0 $two 2>/dev/null; do
        eidetic search --json "otters by the water" -t 1
        assert_exit 0
        assert_json '.results[0].path | endswith("otters.jpg")'
        eidetic check --read-data
        assert_exit 0
        searches=$((searches + 1))
    done
    wait $one
    first=$?
    wait $two
    second=$?
    case $first,$second in
    0,0) ;;
    0,5) assert_contains "$TMP/err2" "pid" ;;
    5,0) assert_contains "$TMP/err1" "pid" ;;
    *) fail "the indexers end with $first and $second" ;;
    esac
    assert_whole 140 "$TMP/one" "$TMP/two"
done
printf '  (%s searches while others wrote)\n' "$searches"

t "a library of every earlier version is taken over with all that is in it"
db=$EIDETIC_LIBRARY/library.db
rm -rf "$EIDETIC_LIBRARY"
eidetic index --quiet "$EIDETIC_SOURCE/samples/photos"
assert_exit 0
eidetic search --json -t 3 "otters by the water"
cp "$TMP/out" "$TMP/answer"
cp "$db" "$TMP/now.db"
sqlite3 "$TMP/now.db" "PRAGMA journal_mode = DELETE" >/dev/null
latest=$(sqlite3 "$TMP/now.db" "PRAGMA user_version")
app=$(sqlite3 "$TMP/now.db" "PRAGMA application_id")
for ((version = 1; version < latest; version++)); do
    old=$TMP/old-$version
    mkdir -p "$old"
    for ((i = 1; i <= version; i++)); do
        sqlite3 "$old/library.db" <"$(echo "$EIDETIC_SOURCE"/db/migrations/000$i*.sql)" || fail "migration $i"
    done
    {
        printf "ATTACH '%s' AS now; BEGIN;\n" "$TMP/now.db"
        for table in settings roots images models vectors vector_commits; do
            names=$(sqlite3 "$old/library.db" "SELECT group_concat(name) FROM pragma_table_info('$table')")
            printf 'INSERT INTO main.%s (%s) SELECT %s FROM now.%s;\n' $table "$names" "$names" $table
        done
        names=$(sqlite3 "$old/library.db" "SELECT group_concat(name) FROM pragma_table_info('files')")
        printf 'UPDATE main.images SET present = 0; INSERT INTO main.files (%s) SELECT %s FROM now.files;\n' "$names" "$names"
        [ $version -lt 3 ] || printf 'INSERT INTO words (rowid, tags, caption, names) SELECT * FROM image_words; DELETE FROM words_stale;\n'
        # the triggers counted the vectors once more
        printf 'UPDATE main.models SET (generation, vectors) = (SELECT generation, vectors FROM now.models n WHERE n.id = main.models.id);\n'
        printf 'COMMIT; PRAGMA application_id = %s; PRAGMA user_version = %s;\n' "$app" "$version"
    } | sqlite3 "$old/library.db" || fail "a library of version $version cannot be made"
    # a search is the first to see it in odd versions, index in even ones
    if ((version % 2)); then
        eidetic search --json -t 3 "otters by the water" --library "$old"
        assert_exit 0
    else
        eidetic index --json --library "$old"
        assert_exit 0
        assert_json '.embedded == 0 and .missing == 0'
        eidetic search --json -t 3 "otters by the water" --library "$old"
    fi
    assert_eq "$(json '.results[].path')" "$(json '.results[].path' "$TMP/answer")" "version $version"
    assert_eq "$(sqlite3 "$old/library.db" "PRAGMA user_version")" "$latest"
    eidetic check --read-data --library "$old"
    assert_exit 0
    eidetic index --json --library "$old"
    assert_exit 0
    assert_json '.embedded == 0'
done

t "a library of a newer program is refused by every command in a sentence, and not touched"
new=$TMP/new
cp -r "$EIDETIC_LIBRARY" "$new"
sqlite3 "$new/library.db" "PRAGMA journal_mode = DELETE; PRAGMA user_version = $((latest + 1))" >/dev/null
sum=$(sha256sum <"$new/library.db")
for command in "search otters" "index $TMP/one" "stats" "check --repair" "forget $TMP/one" "errors" "duplicates" "backup $TMP/b.db" \
    "caption --write db $TMP/one" "export otters --copy $TMP/out-folder"; do
    # shellcheck disable=SC2086
    eidetic $command --library "$new"
    assert_exit 4
    assert_err "newer version"
    assert_eq "$(grep -c . "$TMP/err")" 1 "sentences on stderr"
done
assert_eq "$(sha256sum <"$new/library.db")" "$sum"
done_testing
