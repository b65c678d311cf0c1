# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The copy of users' contact details as an image of its own, in the place of the published one (docs/container.md):
#   docker build -t openlmis/user-contact-details-migration .
#   docker run --rm --env-file settings.env openlmis/user-contact-details-migration

# Any image with Python 3.11 or newer and pip.
ARG BASE=python:3.11-slim
FROM ${BASE}

LABEL org.opencontainers.image.title="user-contact-details-migration" \
      org.opencontainers.image.description="Copies OpenLMIS users' contact details to where OpenLMIS 3.4 keeps them" \
      org.opencontainers.image.source="https://github.com/OpenLMIS/openlmis-operations" \
      org.opencontainers.image.licenses="GPL-3.0-or-later"

COPY container/requirements.txt /opt/openlmis/requirements.txt
RUN python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --no-deps --target /opt/openlmis --requirement /opt/openlmis/requirements.txt
COPY plugins/module_utils /opt/openlmis/ansible_collections/openlmis/operations/plugins/module_utils
COPY container/copy_contact_details.py /opt/openlmis/

ENV PYTHONPATH=/opt/openlmis PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# nobody, as a number: so it is known as no root to whoever looks at the image.
USER 65534:65534
HEALTHCHECK NONE
ENTRYPOINT ["python3", "/opt/openlmis/copy_contact_details.py"]
