# A Debian package: cpack -G DEB --config build/release/CPackConfig.cmake
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME eidetic)
set(CPACK_PACKAGE_VENDOR Eidetic)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "find photographs by what is in them, offline")
set(CPACK_PACKAGE_DESCRIPTION "Looks at every picture once, with a neural network on the processor, and answers
sentences and pictures from then on. A small model comes along.")
set(CPACK_PACKAGE_CONTACT "Eidetic <eidetic@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION graphics)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Loaded when a picture needs them (core/library.h).
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libtiff6, libheif1, libjxl0.7, libopenjp2-7, libcurl4, libchafa0")
include(CPack)
