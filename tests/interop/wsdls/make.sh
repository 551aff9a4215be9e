#!/bin/sh -e
# make.sh OUT [NAME]: writes into OUT what each toolkit makes of the sources beside this file; with NAME only that one's.
# Debian: apt-get install default-jdk-headless libaxis-java gsoap libpod-wsdl-perl; and pip install spyne==2.14.0 on Python 3.11.
here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)

axis() {
    cd "$here/axis"
    classes=$(mktemp -d)
    path=
    for jar in axis jaxrpc saaj wsdl4j commons-logging commons-discovery javax.activation javax.mail; do path=$path/usr/share/java/$jar.jar:; done
    emit() { java -cp "$path$classes" org.apache.axis.wsdl.Java2WSDL "$@" vn.tinh.hoso.DichVuHoSo; }
    javac -encoding UTF-8 -d "$classes" vn/tinh/hoso/*.java
    for kind in rpc-encoded rpc-literal document-literal wrapped-literal; do
        style=$(echo "${kind%-*}" | tr a-z A-Z) use=$(echo "${kind#*-}" | tr a-z A-Z)
        emit -y "$style" -u "$use" -l https://127.0.0.1/hoso -n urn:hoso.tinh.vn -p"vn.tinh.hoso=urn:hoso.tinh.vn" -o "$out/axis-$kind.wsdl"
    done
    # The service in one file, which imports the interface and its types from another.
    emit -y WRAPPED -u LITERAL -l https://127.0.0.1/hoso -L axis-interface.wsdl -n urn:giaodien.tinh.vn -N urn:hoso.tinh.vn \
        -p"vn.tinh.hoso=urn:kieu.tinh.vn" -o "$out/axis-interface.wsdl" -O "$out/axis-service.wsdl"
    rm -r "$classes"
}

gsoap() {
    cd "$here/gsoap"
    made=$(mktemp -d)
    soapcpp2 -2 -S -x -q -I/usr/share/gsoap/import -d "$made" vanthu.h >/dev/null 2>&1
    cp "$made/VanThu.wsdl" "$out/gsoap-document.wsdl"
    rm -r "$made"
}

pod() {
    cd "$here/perl"
    for style in rpc document; do perl -I. describe.pl $style literal 2>/dev/null >"$out/pod-$style.wsdl"; done
}

spyne() {
    cd "$here/spyne"
    PYTHONHASHSEED=0 "${SPYNE_PYTHON:-python3.11}" describe.py >"$out/spyne.wsdl"
}

for name in ${2:-axis gsoap pod spyne}; do (set -e; $name); done
