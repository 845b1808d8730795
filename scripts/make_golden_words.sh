#!/usr/bin/env bash
# Makes the pictures of tests/golden/words with exiftool, so that what our readers are tested on was
# written by somebody else's writer. Needs libimage-exiftool-perl; the tests need only the result.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
command -v exiftool >/dev/null || die "exiftool is not installed (libimage-exiftool-perl)"
from=tests/golden/image to=tests/golden/words
mkdir -p "$to"
xmp=(-XMP-dc:Title='Am Fluß' -XMP-dc:Description='Fog over the river' -XMP-dc:Subject=Vienna
    -XMP-dc:Subject='Großmutter Rosa' -XMP-xmp:Rating=4 -XMP-exif:DateTimeOriginal='2019:05:04 13:02:11+02:00')
iptc=(-codedcharacterset=utf8 -IPTC:ObjectName='Am Fluß' -IPTC:Caption-Abstract='Fog over the river'
    -IPTC:Keywords=Vienna -IPTC:Keywords='Großmutter Rosa' -IPTC:DateCreated='2019:05:04'
    -IPTC:TimeCreated='13:02:11+02:00')
make() { # source, name, options
    cp "$from/$1" "$to/$2"
    exiftool -q -m -overwrite_original "${@:3}" "$to/$2"
}
make icc_grey.jpg xmp.jpg "${xmp[@]}"
make icc_grey.jpg iptc.jpg "${iptc[@]}"
make icc_grey.jpg latin1.jpg -charset iptc=latin1 -codedcharacterset= -IPTC:ObjectName='Am Fluß' -IPTC:Keywords='Großmutter Rosa'
make icc_grey.jpg exif.jpg -EXIF:XPTitle='Am Fluß' -EXIF:ImageDescription='Fog over the river' \
    -EXIF:XPKeywords='Vienna;Großmutter Rosa' -EXIF:Rating=4 -EXIF:DateTimeOriginal='2019:05:04 13:02:11' \
    -EXIF:OffsetTimeOriginal='+02:00'
make bit1.png xmp.png "${xmp[@]}"
make alpha.webp xmp.webp "${xmp[@]}"
make lzw.tif xmp.tif "${xmp[@]}"
make lzw.tif iptc.tif "${iptc[@]}"
make full.heic xmp.heic "${xmp[@]}"
make full.avif xmp.avif "${xmp[@]}"
make lossless.jp2 xmp.jp2 "${xmp[@]}"
make lossless.jxl xmp.jxl "${xmp[@]}"
make exif.dng xmp.dng "${xmp[@]}"
make plain.gif xmp.gif "${xmp[@]}"
