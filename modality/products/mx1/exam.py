"""MX1's exam: stills, clips and screens become images, accepted as soon as they are on the disk.

Rules of this file: stills and clips of a step form one series, screens another; no procedure step is reported.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ...dicom.terms import normal
from ...dicom.values import new_uid
from ...exam import Exams
from ...store import Row
from . import MODEL, PROFILE
from .config import Mx1Config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataset import Dataset

    from ...objects.usfacts import Instance, UsFacts

    Build = Callable[[UsFacts, Dataset], Instance]
    """Makes one image of what was captured."""

SERIES: Final = {"still": "Ultrasound", "clip": "Ultrasound", "screen": "Screen"}
"""Kind of image -> protocol of its series."""


class Mx1Exams(Exams):
    """The exams of one MX1."""

    def keep(
        self, config: Mx1Config, kind: str, moment: datetime, build: Build, picture: Mapping[str, Any]
    ) -> Row:
        """Make what was captured an accepted image of the open exam: identifiers, file and row.

        Args:
            moment: of the capture.
            picture: what the claim says of the picture itself.

        Raises:
            ExamError: no exam is open.
            ValueError: the picture cannot be an image.
            OSError, sqlite3.Error: it cannot be stored.
        """
        exam = self.open()
        step = self.step(exam)
        with self._store.transaction():
            series = self.series_for(exam, step, moment, config.body_part, "", SERIES[kind])
            number = self.next_number(series)
        facts = self._facts(config, exam, series, number, moment)
        instance = build(facts, self.order(exam))
        digest: list[str] = []
        hashing = threading.Thread(target=lambda: digest.append(instance.pixels_sha256()), name="hash")
        hashing.start()  # beside the disk
        try:
            self._store.write_object(facts.sop_instance, instance.parts)
        finally:
            hashing.join()
        claim = {
            "sop_instance": facts.sop_instance,
            "sop_class": instance.sop_class,
            "series_instance": facts.series_uid,
            "study_instance": facts.study_uid,
            "kind": kind,
            "sha256": digest[0],
            "number": number,
            "rows": instance.rows,
            "columns": instance.columns,
            "samples": instance.samples,
            "frames": instance.frames,
            **picture,
        }
        return self.add_image(exam, step, series, number, "accepted", claim)

    def _facts(self, config: Mx1Config, exam: Row, series: Row, number: int, moment: datetime) -> UsFacts:
        from ...objects.usfacts import Device, UsFacts

        return UsFacts(
            sop_instance=new_uid(),
            number=number,
            study_uid=exam["study_uid"],
            study_id=exam["study_id"],
            study_started=datetime.fromisoformat(exam["started"]),
            series_uid=series["uid"],
            series_number=series["number"],
            series_started=datetime.fromisoformat(series["started"]),
            acquired=moment,
            device=Device(
                software_version=f"V{config.version}",
                manufacturer=config.manufacturer,
                model=MODEL,
                serial=config.serial,
                station_name=config.station_name,
                institution=config.institution,
                institution_address=config.institution_address,
                department=config.department,
                operator=config.operator,
                implementation=(PROFILE.implementation_class_uid, str(PROFILE.implementation_version_name)),
            ),
            charset=normal(config.charset),
            body_part=config.body_part,
            protocol=series["protocol"],
            description=series["description"],
        )
