# `cpack --config build/release/CPackConfig.cmake` makes the .deb: the binary, its manual pages and
# completions.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mlp)
set(CPACK_PACKAGE_CONTACT "the mlp maintainers <maintainers@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
# What is linked is found by dpkg-shlibdeps; these are loaded on need.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libdnnl2")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcurl4, libfuse3-3, fuse3, libgit2-1.5")
include(CPack)
