// The one Catch2 main of all tests in C++.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
