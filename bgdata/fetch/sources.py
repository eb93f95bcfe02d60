"""Every remote file that the pipeline can ask for: one table, each entry with where its size and hash come from."""

from bgdata.fetch.remote import RemoteFile as RemoteFile
from bgdata.fetch.segmenter_weights import SEGMENTER_WEIGHTS

# No machine that wrote this table had the network: sizes and hashes are those that the publisher's code or page names,
# or that at least three unrelated public repositories have measured on the publisher's file and agree on.
_AGREED = "measured alike by unrelated public repositories"
_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"
_SAM_CONFIRMED = f"micro-sam's table and {_AGREED}; the name holds the MD5's first six digits"
_DINO = "https://github.com/IDEA-Research/GroundingDINO/releases/download/"
_BERT = "https://huggingface.co/google-bert/bert-base-uncased/resolve/86b5e0934494bd15c9632b12f734a8a67f723594/"
# The publisher's bucket under S3's own name: TLS for images.cocodataset.org fails on S3's certificate.
_COCO = "https://s3.amazonaws.com/images.cocodataset.org/"
_COCO_LICENCE = "annotations CC BY 4.0; the photos' Flickr terms"
_SAMPLE_COMMIT = "bc69043e2862758a1906c6a24a792bb28c6bb2ff"
_IMAGENET = "https://image-net.org/data/ILSVRC/2012/"
_IMAGENET_LICENCE = "ImageNet terms of access: research and education, not commercial"
_IMAGENET_CONFIRMED = "MD5: image-net.org's download page, as four public repositories quote it; the size was not found"
_PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
_PETS_LICENCE = "CC BY-SA 4.0; the photos' owners keep their rights"
_IMAGENET_C = "https://zenodo.org/records/2235448/files/"
_IMAGENET_C_LICENCE = f"CC BY 4.0 (Zenodo's record); the photos: {_IMAGENET_LICENCE}"
_IMAGENET_C_CONFIRMED = (
    "MD5: eight public repositories that fetch it (pytorch-ood's and avalanche's tables among them) name the same; "
    "licence: the record's metadata, as one of them read it in 2026-09; the exact size was not found"
)
_TORCHVISION = "MD5: torchvision's data set of the name; the size was not found"

SOURCES: dict[str, tuple[RemoteFile, ...]] = {
    **SEGMENTER_WEIGHTS,
    "sam_vit_b": (
        RemoteFile(
            "sam_vit_b_01ec64.pth",
            f"{_SAM}sam_vit_b_01ec64.pth",
            size=375_042_383,
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            licence="Apache-2.0",
            confirmed=_SAM_CONFIRMED,
        ),
    ),
    "sam_vit_l": (
        RemoteFile(
            "sam_vit_l_0b3195.pth",
            f"{_SAM}sam_vit_l_0b3195.pth",
            size=1_249_524_607,
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            licence="Apache-2.0",
            confirmed=_SAM_CONFIRMED,
        ),
    ),
    "sam_vit_h": (
        RemoteFile(
            "sam_vit_h_4b8939.pth",
            f"{_SAM}sam_vit_h_4b8939.pth",
            size=2_564_550_879,
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            licence="Apache-2.0",
            confirmed=_SAM_CONFIRMED,
        ),
    ),
    "groundingdino_swint_ogc": (
        RemoteFile(
            "groundingdino_swint_ogc.pth",
            f"{_DINO}v0.1.0-alpha/groundingdino_swint_ogc.pth",
            size=693_997_677,
            sha256="3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799",
            licence="Apache-2.0",
            confirmed=f"{_AGREED}, on this release and on the author's copy at Hugging Face",
        ),
    ),
    "groundingdino_swinb_cogcoor": (
        RemoteFile(
            "groundingdino_swinb_cogcoor.pth",
            f"{_DINO}v0.1.0-alpha2/groundingdino_swinb_cogcoor.pth",
            size=938_057_991,
            sha256="46270f7a822e6906b655b729c90613e48929d0f2bb8b9b76fd10a856f3ac6ab7",
            licence="Apache-2.0",
            confirmed=_AGREED,
        ),
    ),
    "bert_base_uncased": (
        RemoteFile(
            "config.json",
            f"{_BERT}config.json",
            size=570,
            sha256="7160e1553ad2ca51d8c1cb066be533db31826e12d173824c1bb0cb1a4f187d20",
            licence="Apache-2.0",
            confirmed=f"{_AGREED}, at this revision",
        ),
        RemoteFile(
            "vocab.txt",
            f"{_BERT}vocab.txt",
            size=231_508,
            sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            licence="Apache-2.0",
            confirmed=f"{_AGREED}, at this revision",
        ),
    ),
    "big_lama": (
        RemoteFile(
            "big-lama.pt",
            "https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
            size=205_669_692,
            sha256="344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
            md5="e3aa4aaa15225a33ec84f9f4bc47e500",
            licence="Apache-2.0",
            confirmed=f"MD5: IOPaint's and ForAug's code; SHA-256 and size: {_AGREED} (eight of the hash, six of both)",
        ),
    ),
    "coco_val2017": (
        RemoteFile(
            "val2017.zip",
            f"{_COCO}zips/val2017.zip",
            size=815_585_330,
            sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            licence=_COCO_LICENCE,
            confirmed=f"ParlAI's download table and {_AGREED}",
        ),
        RemoteFile(
            "annotations_trainval2017.zip",
            f"{_COCO}annotations/annotations_trainval2017.zip",
            size=252_907_541,
            sha256="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            licence=_COCO_LICENCE,
            confirmed=f"ParlAI's download table and {_AGREED}",
        ),
    ),
    "coco_train2017": (
        RemoteFile(
            "train2017.zip",
            f"{_COCO}zips/train2017.zip",
            size=19_336_861_798,
            sha256="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            md5="cced6f7f71b7629ddf16f17bbcfab6b2",
            licence=_COCO_LICENCE,
            confirmed=f"SHA-256, MD5 and size: {_AGREED} (ten of each)",
        ),
    ),
    "ade20k": (
        RemoteFile(
            "ADEChallengeData2016.zip",
            "https://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
            md5="7328b3957e407ddae1d3cbf487f149ef",
            licence="research and education, not commercial (groups.csail.mit.edu/vision/datasets/ADE20K/terms)",
            confirmed="MD5: six public repositories that fetch it check the same; the exact size was not found",
        ),
    ),
    "cifar10": (
        RemoteFile(
            "cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            size=170_498_071,
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            md5="c58f30108f718f92721af3b95e74349a",
            licence="none stated; the publisher asks to cite Krizhevsky 2009",
            confirmed=f"MD5: torchvision's data set of the name; SHA-256: Keras's, and {_AGREED}; size: {_AGREED}",
        ),
    ),
    "voc2012": (
        RemoteFile(
            "VOCtrainval_11-May-2012.tar",
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            size=1_999_639_040,
            sha256="e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
            md5="6cd6e144f989b92b3379bac3b3de84fd",
            licence="PASCAL VOC database rights; the photos' Flickr terms",
            confirmed=f"URL and MD5: torchvision.datasets.voc; SHA-256: torchvision's prototype of it; size: {_AGREED}",
        ),
    ),
    "davis2016": (
        RemoteFile(
            "DAVIS-data.zip",
            "https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",
            licence="research use (davischallenge.org); the exact terms were not confirmed",
            confirmed="URL: the authors' get_davis.sh, whose versions name five different MD5s: no hash can be trusted",
        ),
    ),
    "imagenet_sample_images": (
        RemoteFile(
            f"imagenet-sample-images-{_SAMPLE_COMMIT[:7]}.tar.gz",
            f"https://github.com/EliSchwartz/imagenet-sample-images/archive/{_SAMPLE_COMMIT}.tar.gz",
            licence=_IMAGENET_LICENCE,
            confirmed="the commit fixes the photos; GitHub does not promise an archive's bytes: no size, no hash",
        ),
    ),
    "oxford_pets": (
        RemoteFile(
            "annotations.tar.gz",
            f"{_PETS}annotations.tar.gz",
            md5="95a8c909bbe2e81eed6a22bccdf3f68f",
            licence=_PETS_LICENCE,
            confirmed=_TORCHVISION,
        ),
        RemoteFile(
            "images.tar.gz",
            f"{_PETS}images.tar.gz",
            md5="5c4f3ee8e5d25df40f4fd59a7f44e54c",
            licence=_PETS_LICENCE,
            confirmed=_TORCHVISION,
        ),
    ),
    "imagenette": (
        RemoteFile(
            "imagenette2-160.tgz",
            "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
            md5="e793b78cc4c9e9a4ccc0c1155377a412",
            licence=f"Apache-2.0 for the selection; the photos: {_IMAGENET_LICENCE}",
            confirmed=_TORCHVISION,
        ),
    ),
    "imagenet_c": tuple(
        RemoteFile(
            f"{group}.tar",
            f"{_IMAGENET_C}{group}.tar",
            md5=md5,
            licence=_IMAGENET_C_LICENCE,
            confirmed=_IMAGENET_C_CONFIRMED,
        )
        for group, md5 in (
            ("noise", "e80562d7f6c3f8834afb1ecf27252745"),  # about 21 GB
            ("blur", "2d8e81fdd8e07fef67b9334fa635e45c"),  # about 7 GB
            ("weather", "33ffea4db4d93fe4a428c40a6ce0c25d"),  # about 12 GB
            ("digital", "89157860d7b10d5797849337ca2e5c03"),  # about 7 GB
            ("extra", "d492dfba5fc162d8ec2c3cd8ee672984"),  # about 15 GB
        )
    ),
    "imagenet_boxes": (
        RemoteFile(
            "ILSVRC2012_bbox_train_v2.tar.gz",
            f"{_IMAGENET}ILSVRC2012_bbox_train_v2.tar.gz",
            md5="9271167e2176350e65cfe4e546f14b17",
            licence=_IMAGENET_LICENCE,
            confirmed=_IMAGENET_CONFIRMED,
        ),
        RemoteFile(
            "ILSVRC2012_bbox_val_v3.tgz",
            f"{_IMAGENET}ILSVRC2012_bbox_val_v3.tgz",
            md5="f4cd18b5ea29fe6bbea62ec9c20d80f0",
            licence=_IMAGENET_LICENCE,
            confirmed=_IMAGENET_CONFIRMED,
        ),
    ),
    "in9_release": (
        RemoteFile(
            "backgrounds_challenge_data.tar.gz",
            "https://github.com/MadryLab/backgrounds_challenge/releases/download/data/backgrounds_challenge_data.tar.gz",
            licence=_IMAGENET_LICENCE,
            confirmed="URL: eight unrelated public repositories fetch it there; no public hash or size was found",
        ),
    ),
}
