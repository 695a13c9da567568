#!/bin/sh
# Print where Keycloak is, fetching it from the Java package index into .cache first if need be.
# Print nothing, and why on standard error, if it cannot be had.
set -eu
cd "$(dirname "$0")/../../.."

VERSION=26.7.3
CACHE="$PWD/.cache/keycloak"
HOME_DIR="$CACHE/keycloak-$VERSION"
JAVA_MAJOR=17

give_up() {
  echo "no Keycloak: $*" >&2
  exit 0
}

if [ ! -x "$HOME_DIR/bin/kc.sh" ]; then
  for program in java mvn unzip; do
    command -v "$program" >/dev/null || give_up "$program is not installed"
  done
  mkdir -p "$CACHE"
  mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$VERSION:zip" -DoutputDirectory="$CACHE" >&2 ||
    give_up "Maven could not fetch version $VERSION"
  unzip -q -o "$CACHE/keycloak-quarkus-dist-$VERSION.zip" -d "$CACHE"
  rm "$CACHE/keycloak-quarkus-dist-$VERSION.zip"
fi

major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
[ "${major:-0}" -ge "$JAVA_MAJOR" ] || give_up "Java $JAVA_MAJOR or newer is needed, this is ${major:-none}"
echo "$HOME_DIR"
