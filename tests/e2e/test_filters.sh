#!/usr/bin/env bash
# Filters of search as people use them: dates in words, and results that are nearly alike only once.
# shellcheck source=tests/e2e/lib.sh
. "${EIDETIC_SOURCE:-$(dirname "$0")/../..}/tests/e2e/lib.sh"
command -v sqlite3 >/dev/null || skip_all "sqlite3 is not installed"
photos=$(sample_copy)
cp "$EIDETIC_SOURCE/tests/e2e/data/otters-small.jpg" "$photos/"
eidetic index "$photos"
# Dates as cameras would have written them.
date_of() {
    sqlite3 "$EIDETIC_LIBRARY/library.db" "UPDATE images SET taken = '$2', taken_at = strftime('%s', '$2')
        WHERE id = (SELECT image FROM files WHERE CAST(path AS TEXT) LIKE '%/$1.jpg')"
}
date_of ocean-waves 2019-07-14T12:00:00
date_of casa-mila 2019-12-24T18:00:00
date_of tea-gardens "$(date -d yesterday +%Y-%m-%d)T08:00:00"

found() { # found NAMES OPTIONS...: exactly these are left
    local names=$1
    shift
    eidetic search -f -t 100 "$@" "a picture"
    assert_eq "$(sed 's|.*/||; s|\.jpg$||' "$TMP/out" | LC_ALL=C sort | paste -sd ' ')" "$names" "$*"
}
t "dates as people write them"
found "ocean-waves" --date "july 2019"
found "ocean-waves" --date 2019-07
found "ocean-waves" --date "summer 2019"
found "casa-mila ocean-waves" --date 2019
found "casa-mila" --date "winter 2019"
found "tea-gardens" --date yesterday
found "tea-gardens" --after "last 3 days"
found "casa-mila tea-gardens" --after "december 2019"
found "ocean-waves" --before "july 2019"
found "casa-mila" 'date:"24 december 2019"'
found "casa-mila ocean-waves" 'date:2019-01..2019'

t "what is no date is said"
for bad in "some day" "31 june 2019" ""; do
    eidetic search --date "$bad" otters
    assert_exit 2
done
eidetic search --date 2019 --after 2018 otters
assert_exit 2
eidetic search 'date:"some day" otters'
assert_exit 2

t "--dedup shows one of those that are nearly alike"
eidetic search -f -t 2 "otters beside the water"
assert_out otters-small.jpg
assert_out oakland-zoo-otters.jpg
eidetic search -f -t 2 --dedup "otters beside the water"
assert_eq "$(grep -c otters "$TMP/out")" 1
assert_eq "$(wc -l <"$TMP/out")" 2
done_testing
