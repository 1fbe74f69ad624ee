# What every folder shares: warnings, sanitizers, the mlp_library() function, the static libraries.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Both keep assert(). Line tables are what a sanitizer's backtrace needs; full debug information
# doubles the link.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

set(MLP_SANITIZE "" CACHE STRING "Sanitizers for the whole build, as -fsanitize= takes them")
if(MLP_SANITIZE)
  add_compile_options(-fsanitize=${MLP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # GCC cannot follow the instrumented code of its own headers.
  add_compile_options("$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-array-bounds>")
  # Asio has fences, which ThreadSanitizer does not follow; our own code has none.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  add_link_options(-fsanitize=${MLP_SANITIZE})
endif()

# libFuzzer steers by the coverage of the libraries, so they are compiled for it too.
if(MLP_FUZZ AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(MLP_CCACHE ccache)
if(MLP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # What ccache asks for to cache what uses precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${MLP_CCACHE})
endif()
find_program(MLP_LLD ld.lld)
if(MLP_LLD)
  add_link_options(-fuse-ld=lld)
endif()

add_library(mlp_warnings INTERFACE)
target_compile_options(mlp_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
  -Woverloaded-virtual -Wimplicit-fallthrough -Wvla
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wlogical-op -Wno-missing-field-initializers>
  # Whether a loop became vector code is no matter of right and wrong (sanitizers prevent it).
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-field-initializers -Wno-pass-failed>)

# Third-party headers are not ours to warn about.
function(mlp_static_library target file)
  find_library(MLP_LIB_${target} NAMES ${file} REQUIRED)
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE ${MLP_LIB_${target}} ${ARGN})
endfunction()

find_package(Threads REQUIRED)
mlp_static_library(mlp_crypto libcrypto.a Threads::Threads ${CMAKE_DL_LIBS})
mlp_static_library(mlp_sqlite libsqlite3.a Threads::Threads ${CMAKE_DL_LIBS} m)
mlp_static_library(mlp_zstd libzstd.a Threads::Threads)
mlp_static_library(mlp_zlib libz.a)
mlp_static_library(mlp_deflate libdeflate.a)
mlp_static_library(mlp_yaml libyaml-cpp.a)
mlp_static_library(mlp_protobuf libprotobuf-lite.a Threads::Threads)
find_package(fmt REQUIRED)

# Headers, nearly all of others, that most files read: half of the time of a build. A file still
# includes what it uses: dev/test compiles it without them too, for clang-tidy.
set(MLP_PRECOMPILED ${PROJECT_SOURCE_DIR}/core/base/json.hpp <fmt/format.h> <algorithm> <charconv>
  <chrono> <cmath> <filesystem> <functional> <map> <memory> <mutex> <optional> <span> <stop_token>
  <string> <string_view> <thread> <unordered_map> <vector>)
file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cpp "")
function(mlp_precompile target)
  add_library(${target} OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(${target} PRIVATE mlp_warnings fmt::fmt Threads::Threads)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE ${ARGN})
  target_precompile_headers(${target} PRIVATE ${MLP_PRECOMPILED})
endfunction()
# Precompiled headers hold for one set of options.
set(MLP_WAITING -Og)
mlp_precompile(mlp_precompiled)
mlp_precompile(mlp_precompiled_waiting ${MLP_WAITING})

# mlp_library(NAME core_data [WAITING] HEADERS ... SOURCES ... PUBLIC_DEPENDS ...
#   PRIVATE_DEPENDS ... PRECOMPILED ...)
# makes the static library mlp_<NAME> from the files of this folder. WAITING is for code that waits
# for people, disks and networks: it is compiled with the optimisations that take no time. PRECOMPILED
# are headers of ours that nearly every source of a large folder reads. Headers are included from the
# root of the repository and each must compile alone (target all_verify_interface_header_sets).
function(mlp_library)
  cmake_parse_arguments(A "WAITING" "NAME"
    "HEADERS;SOURCES;PUBLIC_DEPENDS;PRIVATE_DEPENDS;PRECOMPILED" ${ARGN})
  set(target mlp_${A_NAME})
  add_library(${target} STATIC)
  target_sources(${target} PRIVATE ${A_SOURCES})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${A_HEADERS})
  target_link_libraries(${target} PUBLIC ${A_PUBLIC_DEPENDS} PRIVATE mlp_warnings fmt::fmt ${A_PRIVATE_DEPENDS})
  set(precompiled mlp_precompiled)
  if(A_WAITING)
    target_compile_options(${target} PRIVATE ${MLP_WAITING})
    set(precompiled mlp_precompiled_waiting)
  endif()
  if(A_PRECOMPILED)
    list(TRANSFORM A_PRECOMPILED PREPEND ${PROJECT_SOURCE_DIR}/)
    target_precompile_headers(${target} PRIVATE ${MLP_PRECOMPILED} ${A_PRECOMPILED})
  else()
    target_precompile_headers(${target} REUSE_FROM ${precompiled})
  endif()
endfunction()
