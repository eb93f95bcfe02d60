"""The classes of the public sources, known before anything is downloaded."""

from bgdata.classes import ClassList, plain_class_list

_CATS = (
    "Abyssinian, Bengal, Birman, Bombay, British Shorthair, Egyptian Mau, Maine Coon, Persian, Ragdoll, Russian Blue, "
    "Siamese, Sphynx"
)
_DOGS = (
    "American Bulldog, American Pit Bull Terrier, Basset Hound, Beagle, Boxer, Chihuahua, English Cocker Spaniel, "
    "English Setter, German Shorthaired, Great Pyrenees, Havanese, Japanese Chin, Keeshond, Leonberger, "
    "Miniature Pinscher, Newfoundland, Pomeranian, Pug, Saint Bernard, Samoyed, Scottish Terrier, Shiba Inu, "
    "Staffordshire Bull Terrier, Wheaten Terrier, Yorkshire Terrier"
)
_IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
# The list of `classes: folders` for each source: known before anything is downloaded.
PUBLIC_LISTS = {
    "oxford_pets": plain_class_list("oxford_pets", sorted(f"{_CATS}, {_DOGS}".split(", "))),
    "imagenette": ClassList("imagenette", tuple(_IMAGENETTE.values()), tuple((wnid,) for wnid in _IMAGENETTE)),
}
