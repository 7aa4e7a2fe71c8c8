# A program that Debian packages, in the place of the image that Azure's registry has. Built by local_cloud/images.py.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG PACKAGE
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends ${PACKAGE} && rm -rf /var/lib/apt/lists/*
USER 1000
ENV HOME=/tmp
