#!/usr/bin/env bash
# Makes the pictures of tests/golden/words with exiftool and exiv2, so that what our readers are tested on
# was written by somebody else's writer. Needs libimage-exiftool-perl and exiv2 0.27 (later ones write no
# EXIF as text into PNG); the tests need only the result.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
command -v exiftool >/dev/null || die "exiftool is not installed (libimage-exiftool-perl)"
[[ $(exiv2 -V 2>/dev/null) == *"exiv2 0.27"* ]] || die "exiv2 0.27 is not installed"
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
make bit1.png iptc.png "${iptc[@]}" # as text behind the pixels
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
cp "$from/bit1.png" "$to/exif.png" # packed text in front of them
cp "$to/exif.jpg" "$dir/exif.jpg"
exiv2 -ee "$dir/exif.jpg"
exiv2 -ie -l "$dir" "$to/exif.png"

# long_profile NAME BYTES: so much EXIF, a description and zeros, as packed text.
long_profile() {
    perl -MCompress::Zlib -e '
        local $/;
        my $png = <STDIN>;
        my $exif = "MM\0*\0\0\0\x08\0\1\x01\x0E\0\2\0\0\0\x0D\0\0\0\x1A\0\0\0\0From a frog.\0";
        $exif .= "\0" x ($ARGV[0] - length $exif);
        my $text = "\nexif\n" . length($exif) . "\n" . unpack("H*", $exif) . "\n";
        my $chunk = "zTXtRaw profile type exif\0\0" . compress($text, 9);
        substr($png, 33, 0) = pack("N", length($chunk) - 4) . $chunk . pack("N", crc32($chunk));
        print $png' "$2" <"$from/bit1.png" >"$to/$1"
}
long_profile short_profile.png 400000
long_profile long_profile.png 700000
